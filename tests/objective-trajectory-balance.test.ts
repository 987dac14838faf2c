import { describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import { trajectoryBalance } from "../src/objectives/trajectory-balance.ts";
import type { Reward } from "../src/rewards/reward.ts";
import { minibatch } from "../src/train/minibatch.ts";
import { prepare } from "../src/train/prepare.ts";
import { chooseTransitions } from "../src/train/transitions.ts";
import { relativeError } from "./tolerances.ts";
import { withRollout } from "./worlds/rollouts.ts";
import { tableOf, tabular } from "./worlds/tabular.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, type Transition, trace } from "./worlds/transitions.ts";
import { apart, configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const beta = 1.5;
const own = (file: object, options: object = { groupSize: 4 }) => ({
  ...file,
  objective: { kind: "trajectory-balance", beta, ...options },
});
const exact = 1e-9;

/** Two prompts of the prior N(0, 1) whose linear rewards differ in sign and size. */
const slopes: Record<string, number> = { up: 1, down: -0.5 };
const uneven = {
  ...apart,
  prompts: {
    up: { model: { means: [[0]], stds: 1 }, reward: { kind: "linear", k: [slopes.up] } },
    down: { model: { means: [[0]], stds: 1 }, reward: { kind: "linear", k: [slopes.down] } },
  },
};
const parts = tabular(withObjective(await partsOf(uneven), trajectoryBalance({ beta })));
const { chain } = parts;
const T = chain.T;
const prompts = ["up", "down", "down", "up", "up"];

// Paths need not come from the policy: x_0 … x_T of each trajectory, at any points.
const paths = prompts.map((_, j) =>
  Array.from({ length: T + 1 }, (_, i) => Math.sin(1 + 2 * j + 0.7 * i) + 0.3 * Math.cos(j * i)),
);
const transitions: Transition[] = paths.flatMap((path, j) =>
  chain.steps.map(({ i }) => ({ i, x: [path[i]!], xNext: [path[i + 1]!], prompt: prompts[j]! })),
);
const perRow = (of: (j: number) => number) => transitions.map((_, b) => of(Math.floor(b / T)));
const rewards = prompts.map((prompt, j) => slopes[prompt]! * paths[j]![T]!);
const more = {
  reward: perRow((j) => rewards[j]!),
  trajectory: perRow((j) => j),
  samePrompt: perRow((j) => (prompts[j] === "up" ? 0 : 1)),
};
/** Mean over all of (v − mean of v over the own prompt)². */
function varianceWithinPrompts(values: readonly number[]): number {
  const meanOf = (prompt: string) => {
    const same = values.filter((_, j) => prompts[j] === prompt);
    return same.reduce((sum, v) => sum + v, 0) / same.length;
  };
  return values.reduce((sum, v, j) => sum + (v - meanOf(prompts[j]!)) ** 2, 0) / values.length;
}

describe("linear reward k·x on the prior N(0, 1), DDPM chain, two prompts", () => {
  const alphaT = chain.levels[T]!.alphaBar;
  const h = (prompt: string, i: number) => beta * slopes[prompt]! * Math.sqrt(chain.levels[i]!.alphaBar / alphaT);
  const tableFor = (sign: number) =>
    tableOf(
      ["up", "down"].flatMap((prompt) =>
        chain.steps.map(({ sigma, d2 }, i) => [(sign * sigma ** 2 * h(prompt, i + 1)) / d2]),
      ),
    );

  test("under the exact policy Δ_i = h_{i+1} the sum telescopes: only h_0·x_0 is left to vary", () => {
    const { losses, value } = trace(parts, transitions, { policy: tableFor(1), more });
    const left = varianceWithinPrompts(prompts.map((prompt, j) => h(prompt, 0) * paths[j]![0]!));
    expect(relativeError([value(losses.policy!.variance!)], [left], 1e-9)).toBeLessThan(exact);
    const wrong = trace(parts, transitions, { policy: tableFor(-1), more });
    expect(wrong.value(wrong.losses.policy!.variance!)).toBeGreaterThan(1);
  });

  test("at the start the loss is β² Var r within prompts, its slope −2β Cov(r, x' − μ_#) d₂/σ²", () => {
    const { losses, value, slope } = trace(parts, transitions, { more });
    const expected = varianceWithinPrompts(rewards.map((r) => beta * r));
    expect(relativeError([value(losses.policy!.variance!)], [expected], 1e-9)).toBeLessThan(exact);
    // Δ = d₂ ε/σ², d log(π_θ/π_#)/dΔ = x' − μ_# at Δ = 0, and centring S centres nothing but r here
    const expectedSlopes = ["up", "down"].flatMap((prompt) => {
      const members = prompts.flatMap((name, j) => (name === prompt ? [j] : []));
      const mean = members.reduce((sum, j) => sum + rewards[j]!, 0) / members.length;
      return chain.steps.map(({ a, d2, sigma }, i) =>
        members.reduce((sum, j) => {
          const noise = paths[j]![i + 1]! - a * paths[j]![i]!;
          return sum - (2 * beta * (rewards[j]! - mean) * noise * d2) / (sigma ** 2 * prompts.length);
        }, 0),
      );
    });
    expect(relativeError(slope(losses.policy!.variance!, "policy"), expectedSlopes, 1e-9)).toBeLessThan(exact);
  });
});

test("the loss is the variance of summed log-densities minus βr, in any order of rows", async () => {
  const small = tiny(withObjective(await partsOf(plane), trajectoryBalance({ beta })));
  const rows = [0, 1, 2].flatMap((seed) => drawnTransitions(small, seed));
  const ids = rows.map((_, b) => Math.floor(b / small.chain.T));
  const r = [0.5, -1, 2];
  const params = movedParams(small);
  const lossOf = (order: readonly number[]) => {
    const given = order.map((b) => rows[b]!);
    const feeds = {
      reward: order.map((b) => r[ids[b]!]!),
      trajectory: order.map((b) => ids[b]!),
      samePrompt: order.map(() => 0),
    };
    return trace(small, given, { ...params, more: feeds });
  };
  const straight = lossOf(rows.map((_, b) => b));
  const { state, next, sigma } = straight.batch;
  const [policy, reference, std] = straight.values([state.policy.mean, state.reference.mean, sigma]);
  const S = r.map((reward) => -beta * reward);
  rows.forEach(({ xNext }, b) => {
    xNext.forEach((x, d) => {
      const square = (mean: number) => ((x - mean) / std![b]!) ** 2 / 2;
      S[ids[b]!]! += square(reference![2 * b + d]!) - square(policy![2 * b + d]!);
    });
  });
  const mean = S.reduce((sum, v) => sum + v, 0) / 3;
  const expected = S.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 3;
  expect(next.x.shape).toEqual([rows.length, 2]);
  expect(relativeError([straight.value(straight.losses.policy!.variance!)], [expected])).toBeLessThan(exact);
  const turned = lossOf(rows.map((_, b) => (7 * b + 3) % rows.length));
  expect(relativeError([turned.value(turned.losses.policy!.variance!)], [expected])).toBeLessThan(exact);
});

test("zero reward: at the pretrained policy nothing moves", async () => {
  const config = configOf(own({ ...plane, reward: { kind: "linear", k: [0, 0] } }), "train.updates=2");
  const { steps } = await train(config);
  for (const { losses, gradientNorm } of steps) {
    expect(losses).toEqual({ "policy.variance": 0 });
    expect(gradientNorm).toEqual({ policy: 0 });
  }
});

test("a minibatch tells each transition its trajectory, reward and prompt", () =>
  withRollout(configOf(own(apart)), ({ rollout, programs, parts: made }) => {
    const chosen = chooseTransitions(8, made.chain.T, { kind: "all" }).reverse();
    const feeds = minibatch(made, programs.conditions, rollout, chosen, programs.update.inputs);
    expect([...feeds.trajectory!]).toEqual(chosen.map(({ trajectory }) => trajectory));
    expect([...feeds.reward!]).toEqual(chosen.map(({ trajectory }) => rollout.rewards[trajectory]));
    const names = chosen.map(({ trajectory }) => rollout.trajectories.prompts[trajectory]);
    expect([...feeds.samePrompt!].map((id) => id === feeds.samePrompt![0])).toEqual(
      names.map((name) => name === names[0]),
    );
  }));

test("150 updates find the law without ∇r, from a reward on the host: E[x_T] moves by βk Σ σ_i² Π a_j²", async () => {
  const k = [0.5, -1.25];
  const set = ["sampler.steps=6", "train.updates=150", "train.trajectories=32", "train.block=32"];
  const config = configOf(own(normal), ...set, "train.optimizer.lr=0.04", "train.checkpointEvery=1000");
  const reward: Reward = {
    kind: "on-the-host",
    differentiable: false,
    score: async ({ images }) =>
      Float32Array.from({ length: images.length / 2 }, (_, j) => k[0]! * images[2 * j]! + k[1]! * images[2 * j + 1]!),
  };
  const small = tabular(await prepare(config));
  const { policy } = await train(config, { parts: { ...small, reward } });
  const factor = small.chain.steps.reduce((sum, { sigma, a }) => sum * a * a + sigma * sigma, 0);
  const before = await samplesOf(small, undefined, [""]);
  const after = await samplesOf(small, policy, [""]);
  k.forEach((kd, d) => {
    expect(Math.abs(after[d]! - before[d]! - beta * kd * factor)).toBeLessThan(0.05);
  });
});

test("it states its groups, and that its loss compares them", () => {
  expect(trajectoryBalance({ groupSize: 4 }).groups).toEqual({ size: 4, comparedInLoss: true });
});

describe("refusals", () => {
  test("parts of an update that split trajectories, or leave a prompt with one: told what to set", async () => {
    for (const [accumulate, lacks] of [
      [3, /whole trajectories/],
      [8, /two trajectories or more/],
    ] as const) {
      const set = `train.accumulate=${accumulate}`;
      expect(() => configOf(own(plane), set)).toThrow(lacks);
      // a value passes no check of a configuration: its rollout refuses, or its update where it states no groups
      const value = trajectoryBalance({ groupSize: 4 });
      for (const objective of [value, { ...value, groups: undefined }]) {
        const stopped = train(configOf(plane, set), { parts: withObjective(await partsOf(plane), objective) });
        await expect(stopped).rejects.toThrow(ConfigError);
        await expect(stopped).rejects.toThrow(lacks);
        await expect(stopped).rejects.toThrow(/train\.accumulate.*divisor/);
      }
    }
    expect((await train(configOf(own(plane), "train.accumulate=2", "train.updates=1"))).finished).toBe(true);
  });

  test("a chain that remembers its start, and groups of one", async () => {
    const config = configOf(own(plane), "sampler.kind=ddim", "sampler.eta=0.5");
    await expect(prepare(config)).rejects.toThrow(/trajectory-balance.*forgets its start/s);
    expect(() => configOf(own(plane, { groupSize: 1 }))).toThrow(/groupSize/);
  });
});
