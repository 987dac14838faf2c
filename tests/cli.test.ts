import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodePng, readPngText } from "../src/images/index.ts";
import { buildCommand, type Ended, hookTimeout, root, runNabla } from "./built-command.ts";
import { writeTinyModel } from "./worlds/tiny-unet.ts";

let folder: string;
const inFolder = (name: string) => join(folder, name);

/** Runs the built command in the test's folder. */
const nabla = (args: string[], options: { until?: RegExp } = {}) => runNabla(args, { cwd: folder, ...options });

// A line with two modes; the reward prefers the right one.
const world = `
model: { kind: gaussian-mixture, means: [[-1], [1]], stds: 0.3 }
reward: { kind: linear, k: [1] }
sampler: { kind: ddpm, steps: 8 }
train: { updates: 3, trajectories: 10, block: 10, threads: 1 }
evaluate: { imagesPerPrompt: 40 }
`;
// Two rewards have no closed form together, so that nothing exact is measured.
const long = world
  .replace(
    "reward: { kind: linear, k: [1] }",
    "reward: [{ kind: linear, k: [1] }, { kind: linear, k: [1], weight: 2 }]",
  )
  .replace("updates: 3", "updates: 100000");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "nablaflow-cli-"));
  await buildCommand();
  writeFileSync(inFolder("world.yaml"), world);
  writeFileSync(inFolder("long.yaml"), long);
}, hookTimeout);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("help and lists", () => {
  test("--help names every command, and each command shows examples", async () => {
    const { code, stdout } = await nabla(["--help"]);
    expect(code).toBe(0);
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name]) => name!);
    const lora = ["export", "convert", "merge", "verify"];
    const named = [
      "quickstart",
      "train",
      "sample",
      "evaluate",
      "validate",
      "inspect",
      ...lora,
      "runs",
      "list",
      "pretrain",
      "doctor",
    ];
    expect(commands).toEqual(expect.arrayContaining(named));
    const helps = await Promise.all(named.map((name) => nabla([name, "--help"])));
    expect(helps.filter((help) => help.code !== 0 || !/Examples:\n {2}nabla /.test(help.stdout))).toEqual([]);
  });

  test("list --json gives each kind of each group with its options", async () => {
    const groups = ["models", "rewards", "objectives", "samplers", "metrics"];
    const lists = await Promise.all(groups.map((group) => nabla(["list", group, "--json"])));
    for (const { code, stdout } of lists) {
      expect(code).toBe(0);
      const kinds = JSON.parse(stdout) as unknown[];
      expect(kinds.length).toBeGreaterThan(1);
      for (const kind of kinds) {
        expect(kind).toEqual({ kind: expect.any(String), summary: expect.any(String), options: expect.any(Object) });
      }
    }
    const samplers = JSON.parse(lists[3]!.stdout) as { kind: string; options: object }[];
    expect(samplers.find(({ kind }) => kind === "ddpm")!.options).toMatchObject({
      steps: { type: "integer", default: 50 },
      grid: { enum: ["leading", "trailing", "linspace", "karras", "log-snr"] },
    });
  });
});

test.concurrent.each([
  [["trian"], /unknown command 'trian'[\s\S]*train/],
  [["list", "reward"], /did you mean "rewards"/],
  [["list", "--jsn"], /unknown option '--jsn'/],
  [["train", "world.yaml"], /--out/],
  [["train", "nowhere.yaml", "--out", "never"], /nowhere\.yaml cannot be read/],
  [["train", "world.yaml", "--out", "never", "--set", "train.updaets=2"], /did you mean "updates"/],
  [["train", "world.yaml", "--out", "never", "--set", "model.stds=-1"], /stds/],
  [["train", "world.yaml", "--out", "never", "--model", "nowhere"], /nowhere/],
  [["sample", "nowhere"], /nowhere does not exist/],
  [["sample", "--count", "none"], /whole number/],
] as const)("wrong usage %j ends with 2, says what is right, and leaves nothing behind", async (args, message) => {
  const { code, stdout, stderr } = await nabla([...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^\s+at /m); // a stack trace
  expect(existsSync(inFolder("never"))).toBe(false);
});

describe("a run on an exact world", () => {
  let trained: Ended;
  beforeAll(async () => {
    trained = await nabla(["train", "world.yaml", "--out", "run", "--json"]);
  }, hookTimeout);

  test("train --json prints summary.json and nothing else", () => {
    expect(trained.code, trained.stderr).toBe(0);
    expect(JSON.parse(trained.stdout)).toEqual(JSON.parse(readFileSync(inFolder("run/summary.json"), "utf8")));
    expect(trained.stderr).not.toContain("\x1b"); // no terminal
    expect(existsSync(inFolder("run/report.html"))).toBe(true);
  });

  test("a folder that holds something is refused", async () => {
    const { code, stderr } = await nabla(["train", "world.yaml", "--out", "run"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/run holds .*--resume/);
  });

  test("evaluate --json repeats the numbers of the run's summary", async () => {
    const { code, stdout } = await nabla(["evaluate", "run", "--json"]);
    expect(code).toBe(0);
    const { metrics, ...request } = JSON.parse(stdout);
    const { after, exact } = JSON.parse(trained.stdout);
    expect(request).toEqual({ model: "run", prompts: [""], imagesPerPrompt: 40, seed: 1000 });
    expect(metrics).toMatchObject({
      reward: { value: after.reward, std: after.rewardStd, n: 40 },
      diversity: { value: after.diversity, n: 40 },
      priorDistance: { value: after.priorDistance, floor: after.priorDistanceFloor },
      energyDistance: { value: exact.energyDistance, floor: exact.floor.energyDistance },
      modeTV: { value: exact.modeTV, target: exact.target.modeTV, pretrained: exact.pretrained.modeTV },
      importanceEss: { value: exact.importanceEss },
    });
  });

  test("sample writes points, the same for the same seed, and refuses a folder in use", async () => {
    const sample = (out: string, ...more: string[]) => nabla(["sample", "run", "--count", "5", "--out", out, ...more]);
    const points = (out: string) => JSON.parse(readFileSync(inFolder(`${out}/points.json`), "utf8"));
    const [first, again, other] = await Promise.all([
      sample("points", "--json"),
      sample("again"),
      sample("other", "--seed", "1"),
    ]);
    expect([first.code, again.code, other.code]).toEqual([0, 0, 0]);
    expect(JSON.parse(first.stdout)).toMatchObject({ model: "run", count: 5, files: [{ file: "points/points.json" }] });
    expect(points("points")[""]).toHaveLength(5);
    expect(points("again")).toEqual(points("points"));
    expect(points("other")).not.toEqual(points("points"));
    const refused = await sample("points");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/points holds points\.json/);
  });

  test("runs lists it with its result", async () => {
    const { stdout } = await nabla(["runs", ".", "--json"]);
    const { before, after } = JSON.parse(trained.stdout);
    expect(JSON.parse(stdout)).toContainEqual({
      run: "run",
      method: "residual-nabla-db",
      status: "finished",
      update: 3,
      updates: 3,
      before,
      after,
    });
  });
});

describe("Ctrl-C", () => {
  test("saves a checkpoint, ends with 130 and says how to go on; --resume completes the run", async () => {
    const args = ["train", "long.yaml", "--out", "stopped", "--json"];
    const stopped = await nabla(args, { until: /^\d+\/100000/m });
    expect(stopped.code).toBe(130);
    expect(stopped.stdout).toBe("");
    expect(stopped.stderr).toContain("nabla train long.yaml --out stopped --json --resume");
    const checkpoint = readFileSync(inFolder("stopped/checkpoints/latest"), "utf8").trim();
    const done = Number(checkpoint.replace("step-", ""));
    expect(done).toBeGreaterThan(0);

    const resumed = await nabla([...args, "--resume", "--set", `train.updates=${done + 2}`]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stderr).toContain(`Going on from update ${done}.`);
    expect(JSON.parse(resumed.stdout)).toHaveProperty("after.reward");
    const updates = readFileSync(inFolder("stopped/events.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ type }) => type === "step")
      .map(({ update }) => update);
    expect(updates).toEqual(Array.from({ length: done + 2 }, (_, k) => k + 1));
  });

  test("stops a measurement at once", async () => {
    const args = ["train", "long.yaml", "--out", "measuring", "--set", "evaluate.imagesPerPrompt=10000000"];
    const { code, stderr } = await nabla(args, { until: /measuring: before/ });
    expect(code).toBe(130);
    expect(stderr).toMatch(/Stopped while measuring[\s\S]*--resume/);
  });
});

describe("a diffusers folder", () => {
  beforeAll(() => writeTinyModel(inFolder("tiny"), join(root, "assets/models/animals-32")), hookTimeout);

  test("sample writes pictures that carry prompt, seed and reward, and a contact sheet", async () => {
    const args = ["sample", "tiny", "--prompt", "a cat", "--prompt", "an ant", "--count", "2", "--seed", "3"];
    const { code, stdout, stderr } = await nabla([
      ...args,
      ...["--steps", "2", "--reward", "style-score", "--out", "pictures", "--json"],
    ]);
    expect(code, stderr).toBe(0);
    const { files, ...request } = JSON.parse(stdout);
    expect(request).toEqual({ model: "tiny", prompts: ["a cat", "an ant"], count: 2, seed: 3, out: "pictures" });
    expect(files.map(({ file }: { file: string }) => file)).toEqual([
      "pictures/0000-a-cat.png",
      "pictures/0001-a-cat.png",
      "pictures/0002-an-ant.png",
      "pictures/0003-an-ant.png",
      "pictures/contact-sheet.png",
    ]);
    expect(readdirSync(inFolder("pictures"))).toHaveLength(5);
    const png = readFileSync(inFolder(files[2].file));
    const { width, height } = await decodePng(png);
    expect([width, height]).toEqual([32, 32]);
    expect(Object.fromEntries(readPngText(png))).toEqual({
      prompt: "an ant",
      seed: "3/2",
      reward: JSON.stringify({ reward: files[2].reward }),
    });
  });
});
