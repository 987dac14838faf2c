import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type Page, chromium as playwright } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Ring8Options, trainRing8 } from "../examples/browser/ring8.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { type WebRuntimeOptions, webRuntime } from "../src/runtime/web.ts";
import { readConfig } from "../src/train/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { transpiled } from "./worlds/child.ts";
import { chromium, chromiumArguments, missingChromium, required } from "./worlds/chromium.ts";
import { train } from "./worlds/training.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const timeout = 300_000; // seconds on an idle machine; SwiftShader compiles hundreds of shaders

/** Losses of 20 updates, trained parameters by name, samples. */
type Trained = [losses: Record<string, number>[], policy: [name: string, values: number[]][], samples: number[]];
const plain = ({ losses, policy, samples }: Awaited<ReturnType<typeof trainRing8>>): Trained => [
  losses,
  Object.entries(policy).map(([name, { data }]) => [name, [...data]]),
  [...samples],
];

test("in Node, a run given by values has the numbers of its configuration file, to the bit", async () => {
  const config = await readConfig("configs/worlds/ring8.yaml", { set: ["train.updates=3"] });
  const fromFile = await train(config, { runtime: nodeRuntime({ threads: 1 }) });
  const fromValues = await trainRing8(nodeRuntime({ threads: 1 }), { updates: 3 });
  expect(fromValues.policy).toEqual(fromFile.policy);
  expect(fromValues.losses).toEqual(fromFile.steps.map(({ losses }) => losses));
});

describe("what a browser lacks is refused", () => {
  test("threads without shared memory", async () => {
    await expect(webRuntime({ threads: 2 })).rejects.toThrow(
      /cross-origin isolated.*Cross-Origin-Opener-Policy.*or set threads to 1/,
    );
  });
  test("another provider", async () => {
    await expect(webRuntime({ provider: "webgl" as "wasm" })).rejects.toThrow('wasm, webgpu, but "webgl" came');
  });
});

const missing = missingChromium("tests/browser.test.ts:");

describe.skipIf(missing !== undefined && !required)("in Chromium", () => {
  let stop: () => Promise<void>;
  let browser: Browser;
  let address: string;

  beforeAll(async () => {
    const code = mkdtempSync(join(tmpdir(), "nablaflow-browser-"));
    const library = join(transpiled(code), "src");
    const script = join(root, "examples/browser/server.mjs");
    const server = spawn(process.execPath, [script, "--port", "0", "--library", library], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    stop = async () => {
      await browser?.close();
      server.kill();
      rmSync(code, { recursive: true });
    };
    address = await new Promise<string>((resolve, reject) => {
      server.stdout.once("data", (line) => resolve(String(line).trim()));
      server.once("exit", (status) => reject(new Error(`the server ended with ${status}`)));
    });
    browser = await playwright.launch({ executablePath: chromium, args: chromiumArguments, timeout });
  }, timeout);
  afterAll(() => stop());

  /** A page of the examples; what goes wrong in it fails the test. */
  async function open(file: string): Promise<{ page: Page; problems: string[] }> {
    const page = await browser.newPage();
    page.setDefaultTimeout(timeout);
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on(
      "response",
      (response) => response.status() >= 400 && problems.push(`${response.status()} ${response.url()}`),
    );
    await page.goto(address + file);
    return { page, problems };
  }

  /** As text, so that its imports are the browser's and not those of the test runner. */
  const trainedIn = (page: Page, options: WebRuntimeOptions, run: Ring8Options): Promise<Trained> =>
    page.evaluate(`(async () => {
      const { webRuntime } = await import("nablaflow/runtime/web");
      const { trainRing8 } = await import("/ring8.ts");
      const runtime = await webRuntime(${JSON.stringify(options)});
      const { losses, policy, samples } = await trainRing8(runtime, ${JSON.stringify(run)});
      return [losses, Object.entries(policy).map(([name, { data }]) => [name, [...data]]), [...samples]];
    })()`);

  function expectSame([losses, policy, samples]: Trained, expected: Trained): void {
    expect(losses).toHaveLength(expected[0].length);
    const values = (all: Trained[0]) => all.flatMap((named) => Object.values(named));
    expect(relativeError(values(losses), values(expected[0]))).toBeLessThan(tolerances.otherKernels);
    expect(policy.map(([name]) => name)).toEqual(expected[1].map(([name]) => name));
    for (const [k, [name, data]] of policy.entries())
      expect(relativeError(data, expected[1][k]![1]), name).toBeLessThan(tolerances.otherKernels);
    expect(relativeError(samples, expected[2])).toBeLessThan(tolerances.otherKernels);
  }

  test("ring8 trains on WebAssembly with two threads to Node's numbers", { timeout }, async () => {
    const { page, problems } = await open("");
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    const run = { updates: 20 };
    const found = await trainedIn(page, { provider: "wasm", threads: 2 }, run);
    expectSame(found, plain(await trainRing8(nodeRuntime({ threads: 1 }), run)));
    await expect(trainedIn(page, { provider: "wasm", threads: 1 }, run)).rejects.toThrow(/which took 2, but 1 came/);
    expect(problems).toEqual([]);
    await page.close();
  });

  test("ring8 trains on WebGPU to Node's numbers", { timeout }, async ({ skip }) => {
    const { page, problems } = await open("");
    const adapter = await page.evaluate(async () =>
      Boolean(await (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu?.requestAdapter()),
    );
    if (!adapter && !required) skip("this Chromium offers no WebGPU adapter; Debian's does, with SwiftShader");
    const run = { updates: 20, trajectories: 4, points: 8 };
    const found = await trainedIn(page, { provider: "webgpu" }, run);
    expectSame(found, plain(await trainRing8(nodeRuntime({ threads: 1 }), run)));
    expect(problems).toEqual([]);
    await page.close();
  });

  /** Runs a page as a reader does, and gives what it says in the end. */
  async function runPage(file: string, updates: number): Promise<string> {
    const { page, problems } = await open(file);
    await page.fill("[name=updates]", String(updates));
    await page.click("#start");
    await page.waitForSelector("body[data-state=done], body[data-state=failed]");
    const told = await page.textContent("#status");
    expect(problems).toEqual([]);
    expect(await page.getAttribute("body", "data-state"), told!).toBe("done");
    await page.close();
    return told!;
  }

  test("the page that fits a function reaches a small error", { timeout }, async () => {
    const told = await runPage("fit-function.html", 300);
    expect(Number(/mean squared error (\S+)/.exec(told)![1])).toBeLessThan(1e-3);
  });

  test("the page that tells classes apart does so on unseen points", { timeout }, async () => {
    const told = await runPage("classifier.html", 400);
    expect(Number(/([\d.]+) % of the unseen points/.exec(told)![1])).toBeGreaterThan(90);
  });

  test("the page that finetunes a distribution raises the reward, and stops when told to", { timeout }, async () => {
    const { page, problems } = await open("");
    await page.fill("[name=updates]", "5000");
    // Told by the page itself: a busy test would read a later update for the first.
    await page.evaluate(() => {
      const status = document.getElementById("status")!;
      const noteFirst = new MutationObserver(() => {
        if (!status.textContent!.startsWith("Update ")) return;
        document.body.dataset.first = status.textContent!;
        noteFirst.disconnect();
      });
      noteFirst.observe(status, { childList: true, characterData: true, subtree: true });
    });
    await page.click("#start");
    const rewardOf = (text: string | null) => Number(/mean reward (\S+),/.exec(text ?? "")?.[1]);
    await page.waitForFunction(() => /^Update [2-9]\d /.test(document.getElementById("status")!.textContent!), null, {
      timeout,
    });
    const before = rewardOf(await page.getAttribute("body", "data-first"));
    await page.click("#stop");
    await page.waitForSelector("body[data-state=done]");
    expect(rewardOf(await page.textContent("#status"))).toBeGreaterThan(before + 0.3);
    expect(problems).toEqual([]);
    await page.close();
  });

  /** The status of an address that is sent as it stands: `fetch` would resolve its dots itself. */
  const statusOf = (path: string) =>
    new Promise<number>((resolve, reject) =>
      get({ host: "127.0.0.1", port: new URL(address).port, path }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      }).on("error", reject),
    );

  test.each([
    "/../../scripts/gen.mjs",
    "/%2e%2e/%2e%2e/scripts/gen.mjs",
    "/..%2f..%2fscripts/gen.mjs",
    "/modules/zod/..%2f..%2fscripts/gen.mjs",
    "//scripts/gen.mjs",
    "/server",
    "/README.md",
    "/%",
  ])("the server shows nothing but its folders: %s", async (path) => {
    expect(await statusOf("/page.ts")).toBe(200);
    expect(await statusOf(path)).toBe(404);
  });
});
