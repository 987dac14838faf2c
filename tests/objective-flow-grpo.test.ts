import { describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import { ddpo } from "../src/objectives/ddpo.ts";
import { flowGrpo } from "../src/objectives/flow-grpo.ts";
import type { Reward } from "../src/rewards/reward.ts";
import { groupAdvantages } from "../src/train/advantages.ts";
import { prepare } from "../src/train/prepare.ts";
import { relativeError } from "./tolerances.ts";
import { withRollout } from "./worlds/rollouts.ts";
import { tiny } from "./worlds/tiny.ts";
import { train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { apart, configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const own = (file: object, options: object = { groupSize: 4 }) => ({
  ...file,
  objective: { kind: "flow-grpo", ...options },
});
const moments = (values: readonly number[]) => {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length) };
};

describe("group advantages", () => {
  // three groups of four, far apart and of different width
  const rewards = [0, 1, 2].flatMap((group) =>
    [...new Rng(3).normal(4, { purpose: "test", sample: group })].map((z) => 100 * group + (group + 1) * z),
  );
  const groupOf = (k: number) => rewards.slice(k - (k % 4), k - (k % 4) + 4);

  test("A = (r − mean of the group)/(std + 1e-4), std of the batch or of the group", () => {
    const by = (std: (k: number) => number) => rewards.map((r, k) => (r - moments(groupOf(k)).mean) / (std(k) + 1e-4));
    const batch = moments(rewards).std;
    expect(
      relativeError(
        groupAdvantages(rewards, 4, "batch"),
        by(() => batch),
      ),
    ).toBeLessThan(1e-6);
    expect(
      relativeError(
        groupAdvantages(rewards, 4, "group"),
        by((k) => moments(groupOf(k)).std),
      ),
    ).toBeLessThan(1e-6);
  });

  test("a group that is better as a whole has no advantage of it; equal rewards have none; all lie in [−5, 5]", () => {
    const lifted = rewards.map((r, k) => (k < 4 ? r + 1000 : r));
    expect(relativeError(groupAdvantages(lifted, 4, "group"), groupAdvantages(rewards, 4, "group"))).toBeLessThan(1e-6);
    expect([...groupAdvantages([2, 2, 2, 7, 7, 7], 3, "group")]).toEqual(new Array(6).fill(0));
    const outlier = [...new Array<number>(99).fill(0), 1];
    expect(Math.max(...groupAdvantages(outlier, 100, "group"))).toBe(5);
  });
});

describe("a rollout of groups", () => {
  const set = ["train.trajectories=16", "train.block=16"];

  test("each group has one prompt, prompts take turns, advantages are those of the groups", () =>
    withRollout(configOf(own(apart), ...set), ({ rollout }) => {
      const { prompts } = rollout.trajectories;
      const groups = [0, 1, 2, 3].map((g) => new Set(prompts.slice(4 * g, 4 * g + 4)));
      expect(groups.map(({ size }) => size)).toEqual([1, 1, 1, 1]);
      expect(prompts.filter((prompt) => prompt === "up")).toHaveLength(8);
      expect([...rollout.advantages!]).toEqual([...groupAdvantages(rollout.rewards, 4, "batch")]);
      expect(new Set(rollout.trajectories.states[0]!).size).toBe(16);
    }));

  test("with sharedNoise a group starts at one x_0, and its samples differ", () =>
    withRollout(configOf(own(apart, { groupSize: 4, sharedNoise: true }), ...set), ({ rollout, parts }) => {
      const { states } = rollout.trajectories;
      const starts = [0, 1, 2, 3].map((g) => [...states[0]!.subarray(4 * g, 4 * g + 4)]);
      for (const start of starts) expect(new Set(start).size).toBe(1);
      expect(new Set(starts.flat()).size).toBe(4);
      expect(new Set(states[1]!).size).toBe(16);
      expect(new Set(states[parts.chain.T]!).size).toBe(16);
    }));

  test("objectives without groups draw as before: prompts one by one", () =>
    withRollout(configOf({ ...apart, objective: { kind: "ddpo" } }, ...set), ({ rollout, parts }) => {
      expect(parts.objective.groups).toBeUndefined();
      const { prompts } = rollout.trajectories;
      for (let k = 0; k < 16; k += 2) expect(new Set(prompts.slice(k, k + 2)).size).toBe(2);
    }));
});

const parts = tiny(await partsOf(plane));
const transitions = drawnTransitions(parts);
const advantage = [1.5, -2, 0.25, 3, -0.5, -1];

describe("the loss", () => {
  test("zero reward: at the pretrained policy nothing moves", async () => {
    const config = configOf(own({ ...plane, reward: { kind: "linear", k: [0, 0] } }), "train.updates=2");
    const { steps } = await train(config);
    for (const { losses, gradientNorm } of steps) {
      expect(Math.abs(losses["policy.surrogate"]!) + Math.abs(losses["policy.kl"]!)).toBe(0);
      expect(gradientNorm).toEqual({ policy: 0 });
    }
  });

  test("the penalty is klWeight · KL(π_θ ‖ π_#) of a step per element, and its gradient leads back", () => {
    const params = movedParams(parts);
    const klWeight = 0.3;
    const { batch, losses, value, slope } = trace(withObjective(parts, flowGrpo({ klWeight })), transitions, {
      ...params,
      more: { advantage, oldLogProb: advantage },
    });
    // KL of two Gaussians of one σ: ‖μ_θ − μ_#‖²/(2σ²)
    const { state, sigma } = batch;
    const expected = state.policy.mean
      .sub(state.reference.mean)
      .square()
      .div(sigma.square())
      .mul(klWeight / 2)
      .mean();
    expect(relativeError([value(losses.policy!.kl!)], [value(expected)], 1e-9)).toBeLessThan(1e-9);
    expect(relativeError(slope(losses.policy!.kl!, "policy"), slope(expected, "policy"), 1e-9)).toBeLessThan(1e-9);
    expect(value(expected)).toBeGreaterThan(1e-3);
  });

  test("one Gaussian step: the gradient by its mean is −A (x' − μ)/(σ² d) + klWeight (μ_θ − μ_#)/(σ² d)", async () => {
    const wide = tiny(await partsOf(normal));
    const one = drawnTransitions(wide).slice(3, 4);
    const params = movedParams(wide);
    const objective = flowGrpo({ klWeight: 0.7 });
    const free = trace(withObjective(wide, objective), one, { ...params, more: { advantage: [2], oldLogProb: [0] } });
    const oldLogProb = free.values([free.batch.logProb])[0]!;
    const { batch, losses, values, slope } = trace(withObjective(wide, objective), one, {
      ...params,
      more: { advantage: [2], oldLogProb },
    });
    const [mean, meanRef] = values([batch.state.policy.mean, batch.state.reference.mean]) as [
      Float64Array,
      Float64Array,
    ];
    const { sigma, d2 } = wide.chain.steps[3]!;
    // out.bias adds to ε_θ, hence d₂ times to the mean; d = 2
    const bias = [0, 1].map((d) => {
      const score = (one[0]!.xNext[d]! - mean[d]!) / sigma ** 2;
      return (d2 / 2) * (-2 * score + (0.7 * (mean[d]! - meanRef[d]!)) / sigma ** 2);
    });
    const sum = losses.policy!.surrogate!.add(losses.policy!.kl!);
    expect(relativeError(slope(sum, "policy").slice(-2), bias, 1e-9)).toBeLessThan(1e-9);
  });

  test("without the penalty it is DDPO's, of other advantages", () => {
    const params = movedParams(parts);
    const more = { advantage, oldLogProb: [-1, -2, -0.5, 0, 1, 2] };
    const found = trace(withObjective(parts, flowGrpo({ klWeight: 0, clip: 0.2 })), transitions, { ...params, more });
    const other = trace(withObjective(parts, ddpo({ clip: 0.2 })), transitions, { ...params, more });
    expect(Object.keys(found.losses.policy!)).toEqual(["surrogate"]);
    expect(found.value(found.losses.policy!.surrogate!)).toBe(other.value(other.losses.policy!.surrogate!));
    expect(found.slope(found.losses.policy!.surrogate!, "policy")).toEqual(
      other.slope(other.losses.policy!.surrogate!, "policy"),
    );
  });
});

describe("refusals", () => {
  test("a group of one", () => {
    expect(() => configOf(own(plane, { groupSize: 1 }))).toThrow(/groupSize.*nothing to be compared/s);
  });

  test("trajectories that do not fill groups: told what would, also of an objective that is a value", async () => {
    expect(() => configOf(own(plane, { groupSize: 5 }))).toThrow(/groups of 5.*train\.trajectories is 8.*to 10/);
    const stopped = train(configOf(plane), { parts: withObjective(await partsOf(plane), flowGrpo({ groupSize: 5 })) });
    await expect(stopped).rejects.toThrow(ConfigError);
    await expect(stopped).rejects.toThrow(/groups of 5.*train\.trajectories is 8.*to 10/);
  });

  test("no reward is refused: one on the host trains", async () => {
    const reward: Reward = {
      kind: "on-the-host",
      differentiable: false,
      score: async ({ images }) => Float32Array.from({ length: 8 }, (_, k) => images[2 * k]!),
    };
    const config = configOf(own(plane), "train.updates=2");
    const { steps } = await train(config, { parts: { ...(await prepare(config)), reward } });
    expect(steps[0]!.gradientNorm.policy).toBeGreaterThan(0);
  });
});

test("50 updates raise the mean reward, with Flow-GRPO's options and with DanceGRPO's", async () => {
  const dance = { groupSize: 4, klWeight: 0, sharedNoise: true, advantageStd: "group" };
  for (const options of [{ groupSize: 4 }, dance]) {
    const set = ["train.updates=50", "train.trajectories=16", "train.block=16", "train.checkpointEvery=1000"];
    const { steps } = await train(configOf(own(plane, options), ...set));
    const during = (from: number, to: number) => moments(steps.slice(from, to).map(({ reward }) => reward!)).mean;
    expect(during(40, 50)).toBeGreaterThan(during(0, 10) + 0.1);
  }
});
