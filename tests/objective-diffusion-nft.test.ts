import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { Rng } from "../src/core/rng.ts";
import { diffusionNft } from "../src/objectives/diffusion-nft.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { differences, plainNetworks, type Row } from "./worlds/plain-networks.ts";
import { spyRuntime } from "./worlds/spy.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { drawnTransitions, moved, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const scratch = mkdtempSync(join(tmpdir(), "nablaflow-nft-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const own = (file: object, options: object = {}) => ({
  ...file,
  objective: { kind: "diffusion-nft", groupSize: 4, times: 2, ...options },
});
const parts = tiny(await partsOf(plane));
const { chain } = parts;
const rows = drawnTransitions(parts);
const params = movedParams(parts);
const old = moved(params.policy, 7, 0.05);
const ends = rows.map((_, b) => [...new Rng(8).normal(2, { purpose: "test", sample: b })]);
const noise = rows.map((_, b) => [...new Rng(9).normal(2, { purpose: "test", sample: b })]);

const traced = (options: object, advantage: readonly number[], policy = params.policy, oldOnes = old) =>
  trace(withObjective(parts, diffusionNft(options)), rows, {
    ...params,
    policy,
    more: {
      advantage,
      xEnd: ends.flat(),
      noise: noise.flat(),
      ...Object.fromEntries(Object.entries(oldOnes).map(([name, { data }]) => [`old.${name}`, data])),
    },
  });
const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

test.each([
  [1, 0.1],
  [0.25, 0],
])("loss and gradient are those of the formula, differenced in float64: b = %d, klWeight %d", (b, klWeight) => {
  const advantage = [-5, -2, 0, 1, 3, 5];
  const plain = plainNetworks(parts);
  const states = rows.map(({ i }, k) => {
    const { alphaBar } = chain.levels[i]!;
    return ends[k]!.map((v, d) => Math.sqrt(alphaBar) * v + Math.sqrt(1 - alphaBar) * noise[k]![d]!);
  });
  const errors = (policy: NamedArrays) =>
    rows.map(({ i }, k) => {
      const now = plain.x0Hat(plain.out(policy))(states[k]!, i);
      const then = plain.x0Hat(plain.out(old))(states[k]!, i);
      const at = (sign: number) => now.map((v, d) => then[d]! + sign * b * (v - then[d]!) - ends[k]![d]!);
      return [at(1), at(-1)] as const;
    });
  const weights = errors(params.policy).map((pair) => pair.map((e: Row) => mean(e.map(Math.abs))));
  const loss = (policy: NamedArrays) => {
    const contrast = errors(policy).map(([plus, minus], k) => {
      const rho = advantage[k]! / 10 + 0.5;
      const square = (e: Row) => mean(e.map((v) => v * v));
      return (rho * square(plus)) / weights[k]![0]! + ((1 - rho) * square(minus)) / weights[k]![1]!;
    });
    const kl = rows.map(({ i }, k) => {
      const [p, q] = [plain.out(policy)(states[k]!, i), plain.out()(states[k]!, i)];
      return mean(p.map((v, d) => (v - q[d]!) ** 2));
    });
    return (5 / b) * mean(contrast) + klWeight * mean(kl);
  };
  const { losses, slope, value } = traced({ mixing: b, klWeight }, advantage);
  const all = Object.values(losses.policy!);
  const sum = all.reduce((p, q) => p.add(q));
  expect(all).toHaveLength(klWeight > 0 ? 2 : 1);
  expect(losses.flow).toBeUndefined();
  expect(relativeError([value(sum)], [loss(params.policy)])).toBeLessThan(1e-6);
  const expected = differences(loss, params.policy);
  expect(relativeError(slope(sum, "policy"), expected)).toBeLessThan(tolerances.secondOrder);
  expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-2);
});

test("equal rewards move nothing as long as the old policy is the policy, and twice the advantage moves twice as far", () => {
  const slopeAt = (A: number) => {
    const { losses, slope } = traced(
      { klWeight: 0 },
      rows.map(() => A),
      params.policy,
      params.policy,
    );
    return slope(losses.policy!.contrast!, "policy");
  };
  expect(Math.max(...slopeAt(0).map(Math.abs))).toBeLessThan(1e-12);
  const [one, two] = [slopeAt(1), slopeAt(2)];
  expect(Math.max(...one.map(Math.abs))).toBeGreaterThan(1e-2);
  expect(
    relativeError(
      two,
      one.map((g) => 2 * g),
    ),
  ).toBeLessThan(1e-10);
});

test("three networks at one noised state, two without klWeight", () => {
  for (const [klWeight, count] of [
    [1e-4, 3],
    [0, 2],
  ] as const) {
    let evaluations = 0;
    const counting = {
      ...withObjective(parts, diffusionNft({ klWeight })),
      model: {
        ...parts.model,
        predict(...given: Parameters<typeof parts.model.predict>) {
          evaluations++;
          return parts.model.predict(...given);
        },
      },
    };
    trace(counting, rows);
    expect(evaluations).toBe(count);
  }
});

describe("the old policy", () => {
  const config = configOf(
    own(plane, { decayRate: 0.25, decayLimit: 0.6 }),
    "train.updates=6",
    "train.updatesPerRollout=2",
  );

  test("draws the rollouts, and follows before each: old ← d·old + (1 − d)·θ with d = min(rate · updates, limit)", async () => {
    const { runtime, runs } = spyRuntime();
    await train(config, { runtime });
    const updates = runs.filter(({ program }) => program === "update");
    expect(updates).toHaveLength(6);
    const [name] = Object.keys(updates[0]!.feeds).filter((key) => key.startsWith("old.") && key.includes("weight"));
    const key = name!.slice("old.".length);
    const oldAt = (k: number) => updates[k]!.feeds[name!]!;
    expect(oldAt(0)).toEqual(updates[0]!.feeds[`policy.${key}`]);
    for (const k of [2, 4]) {
      expect(oldAt(k - 1)).toEqual(oldAt(k - 2));
      const d = Math.min(0.25 * k, 0.6);
      // θ after update k is what update k + 1 is given
      const theta = updates[k]!.feeds[`policy.${key}`]!;
      const expected = oldAt(k - 1).map((v, j) => d * v + (1 - d) * theta[j]!);
      expect(relativeError(oldAt(k), expected)).toBeLessThan(tolerances.recomputed);
      expect(oldAt(k)).not.toEqual(theta);
      const sampled = runs.slice(0, runs.indexOf(updates[k]!)).filter(({ program }) => program === "sample");
      expect(sampled.at(-1)!.feeds[`policy.${key}`]).toEqual(oldAt(k));
    }
  });

  test("is part of a checkpoint: a run that is stopped goes on to the bit", async () => {
    const whole = await train(config, { path: join(scratch, "whole") });
    const path = join(scratch, "stopped");
    const controller = new AbortController();
    const stopped = await train(config, {
      path,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === "step" && event.update === 3) controller.abort();
      },
    });
    expect(stopped.finished).toBe(false);
    const resumed = await train(config, { path });
    expect(resumed.finished).toBe(true);
    expect(resumed.policy).toEqual(whole.policy);
  });

  test("no other objective keeps one", async () => {
    const { runtime, runs } = spyRuntime();
    await train(configOf(plane, "train.updates=1"), { runtime });
    expect(runs.flatMap(({ feeds }) => Object.keys(feeds)).some((key) => key.startsWith("old."))).toBe(false);
  });
});

test.each([
  ["ddpm", []],
  ["ddim without noise", ["sampler.kind=ddim", "sampler.eta=0"]],
])("%s: a linear reward moves the mean its way, and its negative the other way", async (_, set) => {
  const shift = async (k: number[]) => {
    const file = { ...own(normal, { times: 4 }), reward: { kind: "linear", k } };
    const config = configOf(
      file,
      "train.updates=15",
      "train.trajectories=16",
      "train.block=16",
      "sampler.steps=6",
      ...set,
    );
    const { policy, parts: made } = await train(config);
    const prompts = new Array<string>(200).fill("");
    const [before, after] = [await samplesOf(made, undefined, prompts), await samplesOf(made, policy, prompts)];
    return mean([...after].map((v, j) => (v - before[j]!) * k[j % 2]!));
  };
  expect(await shift([1, 0])).toBeGreaterThan(0.02);
  expect(await shift([-1, 0])).toBeGreaterThan(0.02);
});

test("takes a reward on the host; groups must fit", () => {
  expect(() => configOf({ ...own(plane), reward: { kind: "jpeg-size" } })).not.toThrow();
  expect(() => configOf(own(plane, { groupSize: 3 }))).toThrow(/groups of 3/);
});
