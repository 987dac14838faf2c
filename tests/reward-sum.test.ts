import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { trainOnSum } from "../examples/reward-sum.ts";
import type { ConfigData } from "../src/core/config.ts";
import { ConfigError, NonFiniteError, ShapeError } from "../src/core/errors.ts";
import { moments } from "../src/core/moments.ts";
import { finishAlignedRun } from "../src/evaluate/aligned-run.ts";
import { evaluateModel } from "../src/evaluate/evaluate-model.ts";
import { openModel } from "../src/evaluate/open-model.ts";
import { defineReward, linear, partsOf, quadratic, type Reward, weightedSum } from "../src/rewards/index.ts";
import { openRunDirectory, readSummary } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { openScorer } from "../src/sample/image-scorer.ts";
import { gradient, input } from "../src/tensor/index.ts";
import {
  loadModel,
  loadReward,
  prepare,
  prepareMeasured,
  type RunConfig,
  recordedConfig,
  resolveConfig,
  type StepEvent,
  type TrainConfig,
  train,
} from "../src/train/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { samplesOf } from "./worlds/training.ts";
import { configOf, graphReward, normal, plane } from "./worlds/worlds.ts";

const runtime = nodeRuntime({ threads: 1 });
const scratch = mkdtempSync(join(tmpdir(), "nablaflow-sum-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const freshPath = () => join(scratch, `run-${folders++}`);

/** The second coordinate of a point, computed on the host; it counts what it is given. */
let given = 0;
const height = defineReward({
  kind: "height",
  summary: "second coordinate",
  options: z.strictObject({ scale: z.number().default(1) }),
  host: async ({ images, prompts }, { scale }) => {
    given += prompts.length;
    return Float32Array.from(prompts, (_, b) => scale * images[2 * b + 1]!);
  },
});

/** Points [n, 2] on a spiral. */
const points = (n: number) =>
  Float32Array.from({ length: 2 * n }, (_, j) => (0.3 + j / n) * (j % 2 === 0 ? Math.cos(j) : Math.sin(j)));

/** Scores of points of the plane, of which the world's codec changes nothing. */
async function score(reward: Reward, x: Float32Array, prompts = new Array<string>(x.length / 2).fill("")) {
  const scorer = await openScorer(runtime, await loadModel(configOf(plane)), reward, 4);
  const result = await scorer.score(x, prompts);
  await scorer.release();
  return result;
}

async function stepsOf(config: TrainConfig, out = freshPath(), resume = false) {
  const steps: StepEvent[] = [];
  for await (const event of train(config, { runtime, out, resume })) if (event.type === "step") steps.push(event);
  return steps;
}

const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));
const ddpo = { kind: "ddpo" };
const short = ["train.updates=2", "train.checkpointEvery=1", "train.trajectories=4", "train.accumulate=1"];

describe("the sum", () => {
  const near = quadratic({ center: [0.5, -0.5], tau: 0.8 });
  const right = linear({ k: [2, -1] });
  const terms = async () => [
    { reward: await near.load(), weight: 2, normalization: { mean: -0.7, std: 0.25 } },
    { reward: await right.load(), weight: -0.5 },
    { reward: await height({ scale: 3 }).load(), weight: 1, normalization: { mean: 4, std: 2 } },
  ];
  /** Σ w (r − m)/s in float64. */
  const expected = (x: Float32Array, count: number) =>
    Array.from({ length: x.length / 2 }, (_, b) => {
      const [p, q] = [x[2 * b]!, x[2 * b + 1]!];
      const closeness = -((p - 0.5) ** 2 + (q + 0.5) ** 2) / (2 * 0.8 ** 2);
      return [(2 * (closeness + 0.7)) / 0.25, -0.5 * (2 * p - q), (3 * q - 4) / 2]
        .slice(0, count)
        .reduce((a, b) => a + b);
    });

  test("of graphs is a graph: its scores are Σ w (r − m)/s, its gradient Σ w ∇r/s", async () => {
    const sum = weightedSum((await terms()).slice(0, 2));
    if (!sum.differentiable) throw new Error("is a graph");
    const n = 6;
    const x = input("x", [n, 2]);
    const scores = sum.score({ images: x, prompts: input("prompts", [n, 1]) });
    const program = await runtime.compile({ scores, slope: gradient(scores.sum(), [x])[0]! });
    const data = points(n);
    const result = await program.run({ x: data, prompts: new Float32Array(n) });
    expect(relativeError(result.scores!, expected(data, 2))).toBeLessThan(tolerances.float32);
    const slope = data.map((value, j) => ((2 / 0.25) * -(value - [0.5, -0.5][j % 2]!)) / 0.8 ** 2 - [1, -0.5][j % 2]!);
    expect(relativeError(result.slope!, slope)).toBeLessThan(tolerances.float32);
    await program.release();
    expect(relativeError((await score(sum, data)).rewards, expected(data, 2))).toBeLessThan(tolerances.float32);
  });

  test("with a part on the host is scored part by part, in blocks that do not divide it", async () => {
    const parts = await terms();
    const sum = weightedSum(parts);
    expect(sum.differentiable).toBe(false);
    const x = points(11);
    const { images, rewards, parts: own } = await score(sum, x);
    expect(images).toEqual(x);
    expect(relativeError(rewards, expected(x, 3))).toBeLessThan(tolerances.float32);
    expect(own.map(({ name }) => name)).toEqual(["quadratic", "linear", "height"]);
    expect(own[2]!.scores).toEqual(Float32Array.from({ length: 11 }, (_, b) => 3 * x[2 * b + 1]!));
  });

  test("gives each part the features of the prompts that it asks for", async () => {
    const lengths = (power: number): Reward & { differentiable: true } => ({
      ...(graphReward(({ prompts }) => prompts.sum([1])) as Reward & { differentiable: true }),
      promptFeatures: {
        size: power,
        of: (prompts) => Float32Array.from(prompts.flatMap((p) => new Array(power).fill(p.length ** power / power))),
      },
    });
    const onHost = (await height().load()) as Reward & { score: never };
    const prompts = ["a", "abc", "ab", "", "abcd"];
    const sum = [lengths(1), lengths(2), onHost].map((reward) => ({ reward, weight: 1 }));
    for (const parts of [sum.slice(0, 2), sum]) {
      const { parts: own } = await score(weightedSum(parts), points(5), prompts);
      expect([...own[0]!.scores]).toEqual(prompts.map((p) => p.length));
      expect([...own[1]!.scores]).toEqual(prompts.map((p) => p.length ** 2));
    }
  });

  test("names a second part of a kind apart, and a reward alone is its own only part", async () => {
    const one = await right.load();
    expect(weightedSum([{ reward: one, weight: 1 }])).toBe(one);
    const { parts } = await score(weightedSum([1, 2, 3].map((weight) => ({ reward: one, weight }))), points(2));
    expect(parts.map(({ name }) => name)).toEqual(["linear", "linear.2", "linear.3"]);
    expect((await score(one, points(2))).parts).toHaveLength(1);
  });

  test("a host function that returns another number of scores is an error", async () => {
    const fewer = defineReward({
      kind: "fewer",
      summary: "one score too few",
      options: z.strictObject({}),
      host: async ({ prompts }) => new Float32Array(prompts.length - 1),
    });
    const failing = score(await fewer().load(), points(3));
    await expect(failing).rejects.toThrow(ShapeError);
    await expect(failing).rejects.toThrow(/"fewer" was given 3 samples and returned 2/);
  });
});

describe("normalisation", () => {
  const linearBy = (normalize: object, k = [3, 0]) => ({
    ...normal,
    objective: ddpo,
    reward: [
      { kind: "linear", k, normalize },
      { kind: "linear", k: [0, 1], weight: 2 },
    ],
  });
  const numbersOf = ({ reward }: TrainConfig) =>
    [reward].flat().map((entry) => (entry as { normalize?: { mean: number; std: number } }).normalize);
  const samples = 4000;

  test("takes mean and std of the pretrained model's own samples, up to sampling", async () => {
    const { config, parts } = await prepareMeasured(configOf(linearBy({ samples }), "train.block=1000"), runtime);
    const [measured, none] = numbersOf(config);
    expect(none).toBeUndefined();
    // Other noise, the same model: the law of its chain, which is narrower than N(0, I) for its few steps.
    const x = await samplesOf(parts, undefined, new Array<string>(samples).fill(""));
    const { mean, std } = moments(Float32Array.from({ length: samples }, (_, b) => 3 * x[2 * b]!));
    const standardError = std * Math.sqrt(2 / samples);
    expect(Math.abs(measured!.mean - mean)).toBeLessThan(4 * standardError);
    expect(Math.abs(measured!.std - std)).toBeLessThan(4 * (standardError / Math.sqrt(2)));
    expect(measured).toMatchObject({ samples });
    const [first, second] = partsOf(parts.reward);
    expect(first!.normalization).toEqual({ mean: measured!.mean, std: measured!.std });
    expect(second).toMatchObject({ weight: 2 });
    expect(second!.normalization).toBeUndefined();
  });

  test("of a reward alone, given as a mapping, is applied too", async () => {
    const single = configOf({ ...normal, reward: { kind: "linear", k: [3, 0], normalize: { samples: 40 } } });
    const { config, parts } = await prepareMeasured(single, runtime);
    const { mean, std } = numbersOf(config)[0]!;
    const x = points(5);
    const rewards = Array.from({ length: 5 }, (_, b) => (3 * x[2 * b]! - mean) / std);
    expect(relativeError((await score(parts.reward, x)).rewards, rewards)).toBeLessThan(tolerances.float32);
    expect(config.reward).toMatchObject({ kind: "linear", normalize: { samples: 40 } });
  });

  test("r → a r + b changes mean and std with it, and the normalised reward not at all", async () => {
    const scaled = (a: number, b: number) =>
      prepareMeasured(
        {
          ...configOf({ ...normal, objective: ddpo }, "train.accumulate=1"),
          reward: [{ ...shifted({ a, b }), normalize: { samples: 50 } }, linear({ k: [0, 1] })],
        },
        runtime,
      );
    const shifted = defineReward({
      kind: "shifted",
      summary: "a x + b of the first coordinate",
      options: z.strictObject({ a: z.number(), b: z.number() }),
      score: ({ images }, { a, b }) => images.slice(1, 0, 1).sum([1]).mul(a).add(b),
    });
    const [plain, other] = [await scaled(1, 0), await scaled(8, 3)];
    expect(numbersOf(other.config)[0]!.mean).toBeCloseTo(8 * numbersOf(plain.config)[0]!.mean + 3, 4);
    const x = points(7);
    const rewards = [(await score(plain.parts.reward, x)).rewards, (await score(other.parts.reward, x)).rewards];
    expect(relativeError(rewards[0]!, rewards[1]!)).toBeLessThan(tolerances.float32);
  });

  test("depends on evaluate.seed and not on train.seed, and each reward uses as many samples as it asks for", async () => {
    const measured = async (...set: string[]) =>
      numbersOf((await prepareMeasured(configOf(linearBy({ samples: 30 }), ...set), runtime)).config)[0]!;
    const usual = await measured();
    expect(await measured("train.seed=5")).toEqual(usual);
    expect((await measured("evaluate.seed=5")).mean).not.toBe(usual.mean);
    const both = configOf({
      ...linearBy({ samples: 30 }),
      reward: [30, 80].map((count) => ({ kind: "linear", k: [3, 0], normalize: { samples: count } })),
    });
    const [few, more] = numbersOf((await prepareMeasured(both, runtime)).config);
    expect(few).toEqual(usual);
    expect(more!.mean).not.toBe(usual.mean);
  });

  test("scores only what is to be measured", async () => {
    given = 0;
    const reward: TrainConfig["reward"] = [
      { kind: "linear", k: [1, 0], normalize: { samples: 20 } },
      height(),
      { ...height({ scale: 2 }), normalize: { mean: 1, std: 2 } },
    ];
    await prepareMeasured({ ...configOf({ ...plane, objective: ddpo }), reward }, runtime);
    expect(given).toBe(0);
    const measured = [reward[0]!, { ...height(), normalize: { samples: 20 } }];
    await prepareMeasured({ ...configOf({ ...plane, objective: ddpo }), reward: measured }, runtime);
    expect(given).toBe(20);
  });

  test("a reward that is the same everywhere, or no number, has none", async () => {
    const flat = prepareMeasured(configOf(linearBy({ samples: 20 }, [0, 0])), runtime);
    await expect(flat).rejects.toThrow(ConfigError);
    await expect(flat).rejects.toThrow(/"linear" is 0 on all 20 samples .*Leave normalize out/);
    const reward = [{ ...height({ scale: 1e39 }), normalize: { samples: 20 } }];
    const infinite = prepareMeasured({ ...configOf({ ...plane, objective: ddpo }), reward }, runtime);
    await expect(infinite).rejects.toThrow(NonFiniteError);
  });

  test("a run records its numbers, goes on with them, and is evaluated with them", async () => {
    const config = configOf(linearBy({ samples: 25 }), ...short);
    const out = freshPath();
    const whole = await stepsOf(config, out);
    const stored = readJson(out, "config.json") as RunConfig;
    const [own] = numbersOf(stored);
    expect(own).toMatchObject({ samples: 25, mean: expect.any(Number), std: expect.any(Number) });
    expect(whole.map(({ rewardParts }) => Object.keys(rewardParts!))).toEqual([
      ["linear", "linear.2"],
      ["linear", "linear.2"],
    ]);
    for (const { reward, rewardParts } of whole) {
      const { linear: first, "linear.2": second } = rewardParts!;
      expect(reward).toBeCloseTo((first! - own!.mean) / own!.std + 2 * second!, 4);
    }
    // Other numbers than would be measured now, so that it is seen where they come from.
    const changed = { ...own, mean: 100, std: 0.5 };
    const [first, second] = stored.reward as object[];
    writeFileSync(
      join(out, "config.json"),
      JSON.stringify({ ...stored, reward: [{ ...first, normalize: changed }, second] }),
    );
    const longer = { ...config, train: { ...config.train, updates: 3 } };
    const [resumed] = await stepsOf(longer, out, true);
    expect(resumed!.update).toBe(3);
    const { linear: raw, "linear.2": other } = resumed!.rewardParts!;
    expect(resumed!.reward).toBeCloseTo((raw! - 100) / 0.5 + 2 * other!, 2);
    const { parts } = await openModel(out);
    expect(partsOf(parts.reward)[0]!.normalization).toEqual({ mean: 100, std: 0.5 });
  });

  test("elsewhere numbers are needed, and a file that holds bad ones is refused", async () => {
    await expect(prepare(configOf(linearBy({ samples: 20 })))).rejects.toThrow(
      /"linear" is to be normalised by 20 .*mean/s,
    );
    const reward = await loadReward(configOf(linearBy({ mean: 1, std: 2 })));
    expect(partsOf(reward)[0]!.normalization).toEqual({ mean: 1, std: 2 });
    const bad = { ...configOf(plane), reward: { kind: "linear", k: [1, 0], normalize: { mean: 0, std: 0 } } };
    await expect(loadReward(bad)).rejects.toThrow(/normalize\.std/);
  });

  test.each<[string, unknown, RegExp]>([
    ["nothing", {}, /normalize: must be \{ samples/],
    ["half of it", { mean: 1 }, /normalize: must be/],
    ["no width", { mean: 1, std: 0 }, /normalize\.std/],
    ["one sample", { samples: 1 }, /normalize\.samples/],
    ["another word", { sample: 9 }, /normalize\.sample: unknown key; did you mean "samples"/],
    ["a switch", true, /normalize/],
  ])("%s is refused with its key", (_, normalize, message) => {
    expect(() => configOf(linearBy(normalize as object))).toThrow(message);
    expect(() => configOf({ ...plane, reward: { kind: "linear", k: [1, 1], weight: "2" } })).toThrow(ConfigError);
  });
});

describe("rewards of one's own in a run", () => {
  const config = () => configOf({ ...plane, objective: ddpo }, ...short);

  test("values stand in a sum beside kinds, with weights and normalisation, and are recorded as data", async () => {
    const reward: TrainConfig["reward"] = [
      { kind: "linear", k: [1, 0], weight: 0.5 },
      { ...height({ scale: 2 }), weight: 2, normalize: { samples: 20 } },
    ];
    const out = freshPath();
    const [first] = await stepsOf({ ...config(), reward }, out);
    expect(Object.keys(first!.rewardParts!)).toEqual(["linear", "height"]);
    expect(readJson(out, "config.json").reward).toEqual([
      { kind: "linear", k: [1, 0], weight: 0.5 },
      {
        kind: "height",
        scale: 2,
        weight: 2,
        normalize: { samples: 20, mean: expect.any(Number), std: expect.any(Number) },
      },
    ]);
    expect(recordedConfig({ ...config(), reward: height() }).reward).toEqual({ kind: "height", scale: 1 });
    // A kind that no configuration knows cannot be loaded again: the run is opened without its reward.
    expect((await openModel(out)).config.reward).toBeUndefined();
  });

  test("a host reward alone trains, and has no parts in its events", async () => {
    const [first] = await stepsOf({ ...config(), reward: height() });
    expect(first!.reward).toEqual(expect.any(Number));
    expect(first).not.toHaveProperty("rewardParts");
  });

  test("an objective that needs a gradient names the part that has none", async () => {
    const reward: TrainConfig["reward"] = [
      { kind: "linear", k: [1, 0] },
      { ...height(), weight: 2 },
    ];
    const refused = prepare({ ...configOf(plane), reward });
    await expect(refused).rejects.toThrow(
      /residual-nabla-db needs a differentiable reward, but "height" runs on the host/,
    );
    const measured = prepareMeasured(
      { ...configOf(plane), reward: [{ ...height(), normalize: { samples: 20 } }] },
      { ...runtime, compile: () => Promise.reject(new Error("refused before anything is compiled")) },
    );
    await expect(measured).rejects.toThrow(/"height" runs on the host/);
  });
});

test("a whole run measures each part before and after, and nabla evaluate finds the same rewards", async () => {
  const file = { ...plane, objective: ddpo, evaluate: { imagesPerPrompt: 40 } };
  const reward = [
    { kind: "linear", k: [5, 1], normalize: { samples: 30 } },
    { kind: "quadratic", center: [0, 0], weight: 0.5, normalize: { samples: 30 } },
  ];
  const out = freshPath();
  const { config, parts } = await prepareMeasured(configOf({ ...file, reward }, ...short), runtime, { out });
  const directory = await openRunDirectory(out, config, { resume: false });
  const summary = await finishAlignedRun({ config, parts, runtime, directory, clock: () => 0 });
  directory.release();
  expect(Object.keys(summary!.before.rewardParts!)).toEqual(["linear", "quadratic"]);
  expect(await readSummary(out)).toEqual(JSON.parse(JSON.stringify(summary)));
  const { metrics } = await evaluateModel(runtime, await openModel(out), { imagesPerPrompt: 40, seed: 1000 });
  expect(metrics.reward!.value).toBe(summary!.after.reward);
});

test("the example's sum rises in both parts, which no gradient of the whole would tell", async () => {
  const parts = await trainOnSum(["train.updates=40", "train.threads=1"], () => {});
  const mean = (name: string, from: number, to: number) =>
    parts.slice(from, to).reduce((sum, part) => sum + part[name]!, 0) / (to - from);
  expect(parts).toHaveLength(40);
  expect(mean("above", 30, 40)).toBeGreaterThan(mean("above", 0, 5) + 0.1);
  expect(mean("linear", 30, 40)).toBeGreaterThan(mean("linear", 0, 5) + 0.1);
});

test("the configurations of the guide are taken", () => {
  const text = readFileSync("docs/guide/rewards-from-a-server.md", "utf8");
  const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml]) => parseYaml(yaml!) as ConfigData);
  expect(blocks).toHaveLength(3);
  for (const block of blocks) {
    const file = { model: { kind: "diffusers", path: "nowhere" }, prompts: ["a cat"], ...block };
    expect(resolveConfig({ file, set: ["train.accumulate=1"], source: "guide" }).reward).toMatchObject(
      block.reward as object,
    );
  }
});
