import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readConfigFile } from "../src/core/config.ts";
import { NonFiniteError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import { energyDistance } from "../src/metrics/index.ts";
import { exactTarget } from "../src/models/exact-target.ts";
import type { Objective } from "../src/objectives/index.ts";
import type { Reward } from "../src/rewards/reward.ts";
import { findCheckpoint, readCheckpoint } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { finetuneLoop, unrecorded } from "../src/train/finetune-loop.ts";
import { prepare, rewardsByPrompt } from "../src/train/prepare.ts";
import { countingRuntime } from "./worlds/counting-runtime.ts";
import { tabular } from "./worlds/tabular.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { apart, configOf, graphReward, normal, partsOf, plane } from "./worlds/worlds.ts";

const scratch = mkdtempSync(join(tmpdir(), "nablaflow-finetune-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const freshPath = (): string => join(scratch, `run-${folders++}`);

describe("training reaches the law that is known", () => {
  test("150 updates on the ring of eight bring the energy distance to the exact target under a quarter", async () => {
    const file = await readConfigFile(new URL("../configs/worlds/ring8.yaml", import.meta.url).pathname);
    const config = configOf(file, "train.updates=150", "train.threads=1", "train.checkpointEvery=1000");
    const parts = await prepare(config);
    const n = 1500;
    const prompts = new Array<string>(n).fill("");
    const reward = (await rewardsByPrompt(config))[""]!;
    const target = exactTarget(parts.model.prior![""]!, reward, 1, n, new Rng(0), { purpose: "test" }).samples;
    const distance = (points: Float32Array) => energyDistance(points, target, 2).value;

    const { policy, finished } = await train(config, { parts });
    expect(finished).toBe(true);
    const before = distance(await samplesOf(parts, undefined, prompts));
    const after = distance(await samplesOf(parts, policy, prompts));
    expect(before).toBeGreaterThan(0.5); // 0.617 in the reference
    expect(after).toBeLessThan(0.25 * before);
  });

  test("where the answer is constant in x, it is found: E[x_T] moves by βk Σ σ_i² Π a_j²", async () => {
    const set = ["sampler.steps=10", "train.updates=150", "train.trajectories=16", "train.block=16"];
    const rates = ["train.optimizer.lr=0.02", "train.flowOptimizer.lr=0.02"];
    const config = configOf(normal, ...set, ...rates, "train.checkpointEvery=1000");
    const parts = tabular(await prepare(config));
    const { policy } = await train(config, { parts });
    const factor = parts.chain.steps.reduce((sum, { sigma, a }) => sum * a * a + sigma * sigma, 0);
    const before = await samplesOf(parts, undefined, [""]);
    const after = await samplesOf(parts, policy, [""]);
    [0.5, -1.25].forEach((k, d) => {
      const expected = 1.5 * k * factor;
      expect(Math.abs((after[d]! - before[d]!) / expected - 1)).toBeLessThan(0.05);
    });
  });
});

describe("what a run holds is given back", () => {
  /** A loop whose programs and record count how often they are given back; compiling fails after `most` programs. */
  async function counted(most?: number) {
    const config = configOf(plane, "train.updates=3");
    const { runtime, programs } = countingRuntime(most);
    const record = { closed: 0, ...unrecorded, close: () => void record.closed++ };
    return { programs, record, events: finetuneLoop({ config, parts: await prepare(config), runtime }, record) };
  }

  test.each(["start", "step"])("when it is left at its first %s", async (type) => {
    const { programs, record, events } = await counted();
    for await (const event of events) {
      expect(programs.open).toBeGreaterThan(0);
      if (event.type === type) break;
    }
    expect([programs.open, record.closed]).toEqual([0, 1]);
  });

  test("when it cannot be opened", async () => {
    const { programs, record, events } = await counted(0);
    await expect(events.next()).rejects.toThrow("no more");
    expect([programs.open, record.closed]).toEqual([0, 1]);
  });
});

describe("a seed", () => {
  const short = (...set: string[]) => configOf(plane, "train.updates=3", ...set);

  test("the same gives the same run, another gives another", async () => {
    const [first, again, other] = [
      await train(short("train.seed=5")),
      await train(short("train.seed=5")),
      await train(short("train.seed=6")),
    ];
    expect(again.policy).toEqual(first.policy);
    expect(again.steps.map(({ reward, losses }) => [reward, losses])).toEqual(
      first.steps.map(({ reward, losses }) => [reward, losses]),
    );
    expect(other.policy).not.toEqual(first.policy);
    expect(other.steps[0]!.reward).not.toBe(first.steps[0]!.reward);
  });

  test("parts of a batch add up to the whole: accumulate 1, 2 and 12 train alike", async () => {
    const runs = await Promise.all([1, 2, 12].map((parts) => train(short(`train.accumulate=${parts}`))));
    const [whole, ...split] = runs.map(({ steps }) => steps);
    for (const steps of split) {
      steps.forEach((step, k) => {
        for (const [name, value] of Object.entries(step.losses)) {
          expect(value, name).toBeCloseTo(whole![k]!.losses[name]!, 4);
        }
        expect(step.gradientNorm.policy).toBeCloseTo(whole![k]!.gradientNorm.policy!, 3);
      });
    }
  });
});

describe("what a step tells", () => {
  test("steps 2 … n compile nothing", async () => {
    for (const set of [["objective.lambda=0.8"], ["objective.kind=ddpo"]]) {
      const runtime = nodeRuntime({ threads: 1 });
      const compiled: number[] = [];
      const config = configOf(plane, "train.updates=5", ...set);
      await train(config, {
        runtime,
        onEvent: ({ type }) => type === "step" && compiled.push(runtime.compilations),
      });
      expect(compiled).toEqual(new Array(5).fill(compiled[0]));
      expect(compiled[0]).toBeGreaterThan(2);
    }
  });

  test("the learning rate is that of the step: a tenth from the fraction decayAt on", async () => {
    const set = ["train.updates=10", "train.optimizer.lr=0.01", "train.optimizer.decayAt=0.7"];
    const { steps } = await train(configOf(plane, ...set));
    expect(steps.map(({ lr }) => lr)).toEqual([...Array(7).fill(0.01), ...Array(3).fill(0.001)]);
  });

  test("every update in order, each with losses and gradient norms of both networks", async () => {
    const { steps, events } = await train(configOf(plane, "train.updates=4"));
    expect(steps.map(({ update, updates }) => [update, updates])).toEqual([1, 2, 3, 4].map((k) => [k, 4]));
    expect(Object.keys(steps[0]!.losses)).toEqual(["policy.forward", "flow.reverse"]);
    expect(Object.keys(steps[0]!.gradientNorm)).toEqual(["policy", "flow"]);
    expect(events[0]).toMatchObject({ type: "start", update: 0 });
  });
});

test("the proximal part is 0 on the first update of a rollout, and pulls from the second on", async () => {
  const set = ["train.updates=4", "train.updatesPerRollout=2", "objective.proximal=10"];
  const { steps } = await train(configOf(plane, ...set));
  const proximal = steps.map(({ losses }) => losses["policy.proximal"]!);
  expect(proximal[0]).toBeLessThan(1e-10);
  expect(proximal[2]).toBeLessThan(1e-10);
  expect(proximal[1]).toBeGreaterThan(1e-6);
  expect(proximal[3]).toBeGreaterThan(1e-6);
});

describe("a number that is not finite", () => {
  /** A host reward that becomes NaN for one prompt at the given call. */
  const failsAt = (call: number): Reward => {
    let calls = 0;
    return {
      kind: "fails",
      differentiable: false,
      async score({ prompts }) {
        calls++;
        return Float32Array.from(prompts, (prompt, k) => (calls === call && prompt === "down" ? Number.NaN : k));
      },
    };
  };

  test("a reward of NaN stops the run, told with update, prompt and seed; the last checkpoint stays whole", async () => {
    const path = freshPath();
    const config = configOf({ ...apart, objective: { kind: "ddpo" } }, "train.seed=42", "train.checkpointEvery=2");
    const parts = { ...(await prepare(config)), reward: failsAt(6) };
    const stopped = train(config, { path, parts });
    await expect(stopped).rejects.toThrow(NonFiniteError);
    await expect(stopped).rejects.toThrow(/update 6\b.*NaN.*"down".*seed 42/is);
    const checkpoint = await findCheckpoint(path);
    expect(checkpoint!.step).toBe(4);
    const { sections } = await readCheckpoint(checkpoint!.path);
    for (const { data } of Object.values(sections.policy!)) expect(data.every(Number.isFinite)).toBe(true);
    expect(readdirSync(path)).not.toContain("lock");

    const whole = await train(config, { path, parts: { ...parts, reward: failsAt(Number.POSITIVE_INFINITY) } });
    expect(whole.steps.map(({ update }) => update)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("so does a reward whose gradient is not finite, before it reaches the weights", async () => {
    const path = freshPath();
    const config = configOf(plane, "train.seed=42", "train.checkpointEvery=1");
    const parts = await partsOf(plane);
    // √ of 0 everywhere: the value is 0, the slope infinite
    const reward = graphReward(({ images }) => images.mul(0).square().sum([1]).sqrt());
    const stopped = train(config, { path, parts: { ...parts, reward } });
    await expect(stopped).rejects.toThrow(NonFiniteError);
    await expect(stopped).rejects.toThrow(/update 1\b.*prompts? "".*seed 42/is);
    expect(existsSync(join(path, "checkpoints"))).toBe(false);
  });

  test("so does a gradient under a loss that is finite", async () => {
    const config = configOf({ ...apart, objective: { kind: "ddpo" } }, "train.seed=42");
    const parts = await prepare(config);
    // √ of 0: the loss is 0, its slope is not a number
    const objective: Objective = {
      ...parts.objective,
      losses: ({ logProb }) => ({ policy: { broken: logProb.mul(0).square().sum().sqrt() } }),
    };
    await expect(train(config, { parts: { ...parts, objective } })).rejects.toThrow(
      /update 1\b.*gradient of policy\..*NaN.*"up".*seed 42/is,
    );
  });
});

describe("prompts", () => {
  test("each prompt follows its own reward, to where it must go; told the prompts of others, they stay together", async () => {
    const set = ["train.updates=100", "train.trajectories=16", "train.block=16", "train.checkpointEvery=1000"];
    const rates = ["train.optimizer.lr=0.02", "train.flowOptimizer.lr=0.02", "sampler.steps=10"];
    const config = configOf(apart, ...set, ...rates);
    const parts = tabular(await prepare(config));
    const { reward } = parts;
    if (!reward.differentiable) throw new Error("rewards of worlds are graphs");
    const features = reward.promptFeatures!;
    /** As in released code: the rewards of a batch are told the prompts of another. */
    const shuffled: Reward = {
      ...reward,
      promptFeatures: {
        size: features.size,
        of: (prompts) => features.of(prompts.map((_, k) => prompts[(k * 7 + 3) % prompts.length]!)),
      },
    };
    const distance = async (given: Reward) => {
      const { policy } = await train(config, { parts: { ...parts, reward: given } });
      const [up, down] = [await samplesOf(parts, policy, ["up"]), await samplesOf(parts, policy, ["down"])];
      return up[0]! - down[0]!; // of the same noise
    };
    const factor = parts.chain.steps.reduce((sum, { sigma, a }) => sum * a * a + sigma * sigma, 0);
    const expected = 2 * 1.5 * factor;
    expect(Math.abs((await distance(reward)) / expected - 1)).toBeLessThan(0.1);
    expect(Math.abs((await distance(shuffled)) / expected)).toBeLessThan(0.5);
  });

  test("a rollout takes every prompt equally often, in whole rounds", async () => {
    const seen: string[] = [];
    const config = configOf({ ...apart, objective: { kind: "ddpo" } }, "train.updates=3", "train.trajectories=6");
    const reward: Reward = {
      kind: "watches",
      differentiable: false,
      async score({ prompts }) {
        seen.push(...prompts);
        return Float32Array.from(prompts, (_, k) => k);
      },
    };
    await train(config, { parts: { ...(await prepare(config)), reward } });
    expect(seen).toHaveLength(18);
    for (let k = 0; k < 18; k += 2) expect(new Set(seen.slice(k, k + 2)).size).toBe(2);
  });
});
