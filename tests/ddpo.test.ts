import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { gaussian } from "../src/diffusion/index.ts";
import { rewardAt } from "../src/models/exact-target.ts";
import { ddpo } from "../src/objectives/index.ts";
import type { Reward } from "../src/rewards/reward.ts";
import { advantages, type RewardHistory } from "../src/train/advantages.ts";
import { relativeError } from "./tolerances.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const moments = (values: number[]) => {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length) };
};

describe("advantages", () => {
  const drawn = (n: number, sample: number, shift: number, scale: number) =>
    [...new Rng(1).normal(n, { purpose: "test", sample })].map((z) => shift + scale * z);

  test("A = (r − m)/(s + 1e-6) over the batch while a prompt has fewer than 16 rewards", () => {
    const rewards = [...drawn(5, 0, 10, 2), ...drawn(5, 1, -3, 0.5)];
    const prompts = [...Array(5).fill("a"), ...Array(5).fill("b")];
    const { mean, std } = moments(rewards);
    const found = advantages(rewards, prompts, {});
    expect(
      relativeError(
        found,
        rewards.map((r) => (r - mean) / (std + 1e-6)),
      ),
    ).toBeLessThan(1e-6);
    expect(moments([...found]).mean).toBeCloseTo(0, 6);
    expect(moments([...found]).std).toBeCloseTo(1, 5);
  });

  test("each prompt is compared with its own last 16 rewards once it has them", () => {
    const history: RewardHistory = {};
    const early = { a: drawn(12, 2, 100, 3), b: drawn(4, 3, -100, 1) };
    advantages([...early.a, ...early.b], [...Array(12).fill("a"), ...Array(4).fill("b")], history);
    const late = { a: drawn(8, 4, 90, 5), b: drawn(4, 5, -90, 2) };
    const rewards = [...late.a, ...late.b];
    const found = advantages(rewards, [...Array(8).fill("a"), ...Array(4).fill("b")], history);
    // a: 20 came, the last 16 count; b: 8 came, so the batch counts
    const a = moments([...early.a, ...late.a].slice(-16));
    const batch = moments(rewards);
    const expected = [
      ...late.a.map((r) => (r - a.mean) / (a.std + 1e-6)),
      ...late.b.map((r) => (r - batch.mean) / (batch.std + 1e-6)),
    ];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    expect(Object.fromEntries(Object.entries(history).map(([prompt, known]) => [prompt, known.length]))).toEqual({
      a: 16,
      b: 8,
    });
  });

  test("lie in [−5, 5], and are 0 where all rewards agree", () => {
    const outlier = [...Array(99).fill(0), 1];
    const names = outlier.map((_, k) => `prompt ${k}`); // 16 rewards of one prompt cannot be further apart than √15
    expect(Math.max(...advantages(outlier, names, {}))).toBe(5);
    expect([...advantages([2, 2, 2], ["a", "a", "a"], {})]).toEqual([0, 0, 0]);
  });
});

const parts = tiny(await partsOf(plane));

describe("the surrogate", () => {
  const transitions = drawnTransitions(parts);
  const advantage = [1.5, -2, 0.25, 3, -0.5, -1];

  test.each(["score-function", "importance-sampling"] as const)(
    "%s: at θ = θ_old its gradient is −mean A ∇ log π_θ, log π per element",
    (estimator) => {
      const params = movedParams(parts);
      const own = withObjective(parts, ddpo({ estimator }));
      const start = trace(own, transitions, { ...params, more: { advantage, oldLogProb: advantage } });
      const { batch, trained } = start;
      const [oldLogProb] = start.values([batch.logProb]);
      const { losses, slope } = trace(own, transitions, { ...params, more: { advantage, oldLogProb: oldLogProb! } });
      // the density's own formula, from the kernel's mean
      const logProb = gaussian.meanLogProb(batch.next.x, batch.state.policy.mean, batch.sigma);
      const expected = start.slope(logProb.mul(batch.advantage).mean().neg(), "policy");
      const found = slope(losses.policy!.surrogate!, "policy");
      expect(trained.policy.length).toBeGreaterThan(0);
      expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-3);
      expect(relativeError(found, expected, 1e-9)).toBeLessThan(1e-9);
    },
  );

  test("importance sampling stops at the clip range, on the side that would improve it", () => {
    // one transition per case: the ratio is beyond the range on one side, the advantage has either sign
    const clip = 0.1;
    const params = movedParams(parts);
    for (const [log, advantage, moves] of [
      [Math.log(1.2), 1, false],
      [Math.log(1.2), -1, true],
      [Math.log(0.8), 1, true],
      [Math.log(0.8), -1, false],
      [Math.log(1.05), 1, true],
      [Math.log(0.95), -1, true],
    ] as const) {
      const own = withObjective(parts, ddpo({ clip }));
      const one = transitions.slice(2, 3);
      const free = { advantage: [advantage], oldLogProb: [0] };
      const start = trace(own, one, { ...params, more: free });
      const old = start.values([start.batch.logProb])[0]![0]! - log;
      const { slope, losses, value } = trace(own, one, { ...params, more: { ...free, oldLogProb: [old] } });
      expect(slope(losses.policy!.surrogate!, "policy").some((g) => Math.abs(g) > 1e-6)).toBe(moves);
      const ratio = Math.exp(log);
      const clipped = Math.min(Math.max(ratio, 1 - clip), 1 + clip);
      expect(value(losses.policy!.surrogate!)).toBeCloseTo(Math.max(-advantage * ratio, -advantage * clipped), 12);
    }
  });

  test("trains the policy alone, on every transition", () => {
    const objective = ddpo();
    expect(objective.needs).toEqual(["advantage"]);
    expect(objective.transitions).toBe("all");
    const more = { advantage, oldLogProb: advantage };
    expect(trace(withObjective(parts, objective), transitions, { more }).losses.flow).toBeUndefined();
  });
});

test("60 updates raise the mean reward, of other samples too", async () => {
  const small = ["train.updates=60", "train.trajectories=32", "train.block=32", "train.optimizer.decayAt=1"];
  const config = configOf({ ...plane, objective: { kind: "ddpo" } }, ...small);
  const { steps, policy, parts: own } = await train(config);
  const during = (from: number, to: number) => moments(steps.slice(from, to).map(({ reward }) => reward!)).mean;
  expect(during(50, 60)).toBeGreaterThan(during(0, 10) + 0.1);

  const { exact } = own.reward as Extract<Reward, { differentiable: true }>;
  const rewardOf = async (trained: typeof policy | undefined) => {
    const points = await samplesOf(own, trained, new Array<string>(400).fill(""));
    return moments(Array.from({ length: 400 }, (_, k) => rewardAt(points.subarray(2 * k, 2 * k + 2), exact!))).mean;
  };
  expect(await rewardOf(policy)).toBeGreaterThan((await rewardOf(undefined)) + 0.1); // from −0.85; 0 is the best
});
