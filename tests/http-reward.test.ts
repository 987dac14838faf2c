import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { rewardServer } from "../examples/reward-server.ts";
import { ConfigError, NonFiniteError, ShapeError } from "../src/core/errors.ts";
import { decodePng } from "../src/images/index.ts";
import { openClient } from "../src/rewards/http/client.ts";
import { answerLimit } from "../src/rewards/http/exchange.ts";
import { ScoreCache } from "../src/rewards/http/score-cache.ts";
import { http } from "../src/rewards/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { readConfig, resolveConfig, train } from "../src/train/index.ts";
import {
  type Answer,
  closeStandIns,
  messageOf,
  refusing as refusingJson,
  serve as serveJson,
  urlOf,
} from "./worlds/stand-in.ts";

const TOKEN = "Bearer kept-by-the-environment";
process.env.HTTP_REWARD_TEST_TOKEN = TOKEN;

interface Question {
  images: string[];
  prompts: string[];
}
const serve = (answer: Answer<Question>) => serveJson<Question>(answer);

afterEach(closeStandIns);

/** Pictures [n, 3, 2, 2] of one grey each, grey/255. */
const greys = (...levels: number[]) => Float32Array.from(levels.flatMap((level) => new Array(12).fill(level / 255)));

async function open(options: Parameters<typeof http>[0]) {
  const reward = await http(options).load();
  if (reward.differentiable) throw new Error("runs on the host");
  return (images: Float32Array, prompts = new Array<string>(images.length / 12).fill("a cat")) =>
    reward.score({ images, shape: [images.length / 12, 3, 2, 2], prompts });
}

const greyOf = async (image: string) => (await decodePng(Buffer.from(image, "base64"))).data[0]!;
const scoreGreys = async ({ images }: Question) => ({ rewards: await Promise.all(images.map(greyOf)) });
describe("what is asked", () => {
  test("PNG of 8 bits with their prompts, in batches; scores come back in order whichever answer is first", async () => {
    const waiting: (() => void)[] = [];
    const { asked, url } = await serve(async (question) => {
      // The first two questions are under way together, and the second is answered first.
      if (asked.length === 1) await new Promise<void>((resolve) => waiting.push(resolve));
      else for (const go of waiting.splice(0)) setTimeout(go, 30);
      return scoreGreys(question);
    });
    const score = await open({ url, batch: 2, concurrency: 2 });
    const levels = [7, 3, 250, 0, 99];
    const prompts = ["a", "b", "c", "d", "é ∇"];
    expect([...(await score(greys(...levels), prompts))]).toEqual(levels);
    expect(asked.map(({ images }) => images.length).sort()).toEqual([1, 2, 2]);
    for (const { images, prompts: given } of asked) {
      const levelsAsked = await Promise.all(images.map(greyOf));
      expect(given).toEqual(levelsAsked.map((level) => prompts[levels.indexOf(level)]));
    }
  });

  test("never more requests at once than reward.concurrency", async () => {
    let [now, most] = [0, 0];
    const held: (() => void)[] = [];
    const { asked, url } = await serve(async (question) => {
      most = Math.max(most, ++now);
      const three = new Promise<void>((resolve) => held.push(resolve));
      // Answered only when three are here, and a moment later, in which a fourth would be noticed.
      if (held.length === 3) for (const go of held.splice(0)) setTimeout(go, 20);
      await three;
      now--;
      return scoreGreys(question);
    });
    const score = await open({ url, batch: 1, concurrency: 3 });
    await score(greys(...Array.from({ length: 12 }, (_, k) => k)));
    expect([most, asked.length]).toEqual([3, 12]);
  });

  test("the same picture under the same prompt is asked once, unless nothing is remembered", async () => {
    const { asked, url } = await serve(scoreGreys);
    const count = () => asked.splice(0).flatMap(({ prompts }) => prompts);
    const score = await open({ url });
    expect([...(await score(greys(5, 6, 5), ["a", "a", "a"]))]).toEqual([5, 6, 5]);
    expect(count()).toEqual(["a", "a"]);
    expect([...(await score(greys(5, 5, 6), ["a", "b", "a"]))]).toEqual([5, 5, 6]);
    expect(count()).toEqual(["b"]);
    const forgetful = await open({ url, cache: 0 });
    await forgetful(greys(5, 5), ["a", "a"]);
    await forgetful(greys(5), ["a"]);
    expect(count()).toEqual(["a", "a"]);
  });

  test("the cache holds its limit, and forgets first what was not asked for longest", () => {
    const cache = new ScoreCache(2);
    cache.set("a", 1);
    cache.set("b", 2);
    expect(cache.get("a")).toBe(1);
    cache.set("c", 3);
    expect(["a", "b", "c"].map((key) => cache.get(key))).toEqual([1, undefined, 3]);
  });

  test("a header's value comes from the environment, and only the variable's name is recorded", async () => {
    let seen: string | undefined;
    const { url } = await serve((question, _, { headers }) => {
      seen = headers.authorization;
      return scoreGreys(question);
    });
    const headers = { Authorization: "HTTP_REWARD_TEST_TOKEN" };
    await (await open({ url, headers }))(greys(1));
    expect(seen).toBe(TOKEN);
    const file = { model: { kind: "diffusers", path: "nowhere" }, prompts: ["a cat"], train: { accumulate: 1 } };
    const given = { ...file, reward: { kind: "http", url, headers }, objective: { kind: "ddpo" } };
    const { reward } = resolveConfig({ file: given, source: "test" });
    expect(reward).toMatchObject({ kind: "http", url, headers });
    expect(JSON.stringify(reward)).not.toContain(TOKEN);
  });
});

describe("what fails and may pass", () => {
  const client = (url: string, options: object = {}) => {
    const waits: number[] = [];
    const opened = openClient(
      { kind: "http", url, headers: {}, secrets: "reward.headers", timeout: 5, retries: 3, ...options },
      async (seconds) => {
        waits.push(seconds);
      },
    );
    return { waits, post: () => opened.post("{}", new AbortController().signal) };
  };
  /** Refuses with the given statuses and headers, then answers. */
  const refusing = (...refusals: [number, Record<string, string>?][]) =>
    refusingJson<Question>(refusals, () => "done", TOKEN);

  test("5xx and 429 are tried again, each time after twice the wait", async () => {
    const { url, asked } = await refusing([500], [429], [503]);
    const { post, waits } = client(url);
    expect(await post()).toBe("done");
    expect([waits, asked.length]).toEqual([[0.5, 1, 2], 4]);
  });

  test("Retry-After is kept to, in seconds and as a date; nonsense is ignored; too long a wait is an error", async () => {
    const [now, later] = ["Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:09 GMT"];
    const { url } = await refusing(
      [429, { "retry-after": "7" }],
      [503, { date: now, "retry-after": later }],
      [429, { "retry-after": "soon" }],
    );
    const { post, waits } = client(url);
    expect(await post()).toBe("done");
    expect(waits).toEqual([7, 9, 2]);
    const { url: busy } = await refusing([429, { "retry-after": "86400" }]);
    await expect(client(busy).post()).rejects.toThrow(/86400 s/);
  });

  test("in the end it is an error with the number of tries and the last reason", async () => {
    const { url, asked } = await refusing(...Array.from({ length: 9 }, (): [number] => [502]));
    const message = await messageOf(client(`${url}?key=secret-in-query`, { retries: 2 }).post());
    expect(message).toMatch(/NablaError: http: http:\/\/127.*\/score failed 3 times .* status 502/);
    expect(message).not.toContain("secret-in-query");
    expect(asked).toHaveLength(3);
  });

  test("no connection, a broken one, and no answer in time are tried again", async () => {
    let times = 0;
    const { url } = await serve((_, response) => {
      times++;
      if (times === 1) return void response.destroy();
      if (times === 2) return void response.write("{"); // begins, and never ends
      return "done";
    });
    const { post, waits } = client(url, { timeout: 2 });
    expect(await post()).toBe("done");
    expect(waits).toEqual([0.5, 1]);
    const { url: silent } = await serve(() => undefined);
    await expect(client(silent, { timeout: 0.05, retries: 1 }).post()).rejects.toThrow(/no answer within 0.05 s/);
    const gone = await rewardServer();
    const nobody = urlOf(gone);
    await new Promise((resolve) => gone.close(resolve));
    await expect(client(nobody, { retries: 1 }).post()).rejects.toThrow(/failed 2 times .*ECONNREFUSED/);
  });

  test("4xx and redirects are not tried again", async () => {
    for (const [status, reason] of [
      [400, /status 400/],
      [401, /environment variables/],
      [307, /redirect/],
    ] as const) {
      const { url, asked } = await refusing([status, { location: "http://127.0.0.1:1/" }]);
      await expect(client(url).post()).rejects.toThrow(reason);
      expect(asked).toHaveLength(1);
    }
  });

  test("the budget counts every request, repeated ones too", async () => {
    const { url, asked } = await refusing([500], [500]);
    const { post } = client(url, { budget: 4 });
    expect(await post()).toBe("done");
    expect(await post()).toBe("done");
    await expect(post()).rejects.toThrow(/the 4 requests that reward.budget allows/);
    expect(asked).toHaveLength(4);
  });

  test("when one request fails, those under way are stopped and those that wait are not sent", async () => {
    let stopped = 0;
    const { url, asked } = await serve(async (_, response) => {
      if (asked.length === 1) return void response.on("close", () => stopped++); // never answers
      response.writeHead(400);
      return "";
    });
    const score = await open({ url, batch: 1, concurrency: 2 });
    await expect(score(greys(1, 2, 3, 4, 5))).rejects.toThrow(/status 400/);
    await expect.poll(() => stopped).toBe(1);
    expect(asked).toHaveLength(2);
  });
});

describe("what is answered", () => {
  test.each<[string, unknown]>([
    ["no JSON", `<html>${TOKEN}`],
    ["another key", { scores: [1] }],
    ["no list", { rewards: 1 }],
    ["a word for a number", { rewards: [TOKEN] }],
    ["more scores than pictures", { rewards: [1, 2] }],
    ["a list", [1]],
    ["null", "null"],
  ])("%s is an error that says what is expected and quotes nothing", async (_, value) => {
    const { url, asked } = await serve(() => value);
    const score = await open({ url, headers: { Authorization: "HTTP_REWARD_TEST_TOKEN" } });
    const message = await messageOf(score(greys(1)));
    expect(message).toMatch(/http: http:\/\/127.* (must answer with JSON|must give one for each)/s);
    expect(message).not.toContain(TOKEN);
    expect(asked).toHaveLength(1);
  });

  test("an answer larger than the limit is not read to its end", async () => {
    const { url, asked } = await serve(() => ({ rewards: [1], padding: "x".repeat(answerLimit) }));
    await expect((await open({ url }))(greys(1))).rejects.toThrow(/more than 1048576 bytes/);
    expect(asked).toHaveLength(1);
  });

  test.each<[string, string]>([
    ["null", '{"rewards": [1, null, 3]}'],
    ["NaN, as Python writes it", '{"rewards": [1, NaN, 3]}'],
    ["-Infinity", '{"rewards": [1, -Infinity, 3]}'],
    ["more than float32 holds", '{"rewards": [1, 1e39, 3]}'],
  ])("%s: only that picture is asked again", async (_, first) => {
    const { url, asked } = await serve(() => (asked.length === 1 ? first : { rewards: [2] }));
    expect([...(await (await open({ url }))(greys(1, 2, 3), ["a", "b", "c"]))]).toEqual([1, 2, 3]);
    expect(asked.map(({ prompts }) => prompts)).toEqual([["a", "b", "c"], ["b"]]);
  });

  test("too few scores: whose they are cannot be told, so that all are asked again", async () => {
    const { url, asked } = await serve((question) => (asked.length === 1 ? { rewards: [9, 9] } : scoreGreys(question)));
    expect([...(await (await open({ url }))(greys(1, 2, 3)))]).toEqual([1, 2, 3]);
    expect(asked.map(({ prompts }) => prompts.length)).toEqual([3, 3]);
  });

  test("no score twice is an error that names prompt and index", async () => {
    const { url, asked } = await serve(({ prompts }) => ({ rewards: prompts.map((p) => (p === "b" ? null : 1)) }));
    const failing = (await open({ url }))(greys(1, 2, 3), ["a", "b", "c"]);
    await expect(failing).rejects.toThrow(NonFiniteError);
    await expect(failing).rejects.toThrow(/1 of 3 pictures; the first is picture 1 \(prompt "b"\)/);
    expect(asked).toHaveLength(2);
  });
});

describe("what is refused before anything is sent", () => {
  test.each(["ftp://127.0.0.1/", "file:///etc/passwd", "scorer", ""])("the address %j", (url) => {
    expect(() => http({ url })).toThrow(/http or https/);
  });

  test("a password in the address or a token in place of a variable's name, without repeating it", async () => {
    const file = { model: { kind: "diffusers", path: "nowhere" }, prompts: ["a cat"], objective: { kind: "ddpo" } };
    for (const bad of [
      { url: "http://me:hunter2@127.0.0.1/" },
      { url: "http://127.0.0.1/", headers: { Authorization: "Bearer hunter2" } },
      { url: "http://127.0.0.1/", headers: { "X-Api-Key": "hunter2" } },
    ]) {
      const resolving = async () => resolveConfig({ file: { ...file, reward: { kind: "http", ...bad } }, source: "t" });
      await expect(resolving()).rejects.toThrow(ConfigError);
      expect(await messageOf(resolving())).not.toContain("hunter2");
    }
  });

  test("a variable that is not set, or whose value no header can hold", async () => {
    const load = (variable: string) => http({ url: "http://127.0.0.1/", headers: { "X-Key": variable } }).load();
    await expect(load("HTTP_REWARD_TEST_ABSENT")).rejects.toThrow(/HTTP_REWARD_TEST_ABSENT is not set/);
    process.env.HTTP_REWARD_TEST_BROKEN = "hunter2\nX-Other: 1";
    const message = await messageOf(load("HTTP_REWARD_TEST_BROKEN"));
    expect(message).toMatch(/ConfigError.*line break/);
    expect(message).not.toContain("hunter2");
    expect(() => http({ url: "http://127.0.0.1/", headers: { Host: "HTTP_REWARD_TEST_TOKEN" } })).toThrow(/"Host"/);
  });

  test("points of an exact world", async () => {
    const reward = await http({ url: "http://127.0.0.1/" }).load();
    if (reward.differentiable) throw new Error("runs on the host");
    const points = { images: new Float32Array(2), shape: [1, 2], prompts: ["a"] };
    await expect(reward.score(points)).rejects.toThrow(ShapeError);
  });
});

test("the reference server scores brightness, and refuses what is no question", async () => {
  const server = await rewardServer();
  const url = urlOf(server);
  const scores = await (await open({ url, batch: 2 }))(greys(0, 51, 255));
  expect(scores).toEqual(Float32Array.of(0, 0.2, 1));
  const answer = await fetch(url, { method: "POST", body: "[]" });
  expect(answer.status).toBe(400);
  expect(server.address()).toMatchObject({ address: "127.0.0.1" });
});

test("a run on pictures is trained on what the server says, and leaves no header's value behind", async () => {
  const { url, asked } = await serve(scoreGreys);
  const out = mkdtempSync(join(tmpdir(), "nablaflow-http-"));
  try {
    const reward = `reward={kind: http, url: "${url}", headers: {Authorization: HTTP_REWARD_TEST_TOKEN}}`;
    const short: string[] = JSON.parse(readFileSync("tests/short-run.json", "utf8"));
    const set = [...short, reward, "objective={kind: ddpo}", "prompts=[a cat]", "finetune.rank=1"];
    const config = await readConfig("configs/quickstart.yaml", { set });
    let steps = 0;
    for await (const event of train(config, { runtime: nodeRuntime({ threads: 1 }), out })) {
      if (event.type !== "step") continue;
      steps++;
      const scores = await Promise.all(asked.flatMap(({ images }) => images).map(greyOf));
      expect(event.reward).toBeCloseTo(scores.reduce((a, b) => a + b, 0) / scores.length, 4);
    }
    expect(steps).toBe(1);
    expect(asked.flatMap(({ prompts }) => prompts)).toEqual(["a cat", "a cat"]);
    const files = readdirSync(out, { recursive: true, encoding: "utf8" }).map((file) => join(out, file));
    const texts = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file, "latin1"));
    expect(texts.filter((text) => text.includes("HTTP_REWARD_TEST_TOKEN")).length).toBeGreaterThan(0);
    expect(texts.filter((text) => text.includes(TOKEN))).toEqual([]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
