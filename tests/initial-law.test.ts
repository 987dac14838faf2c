import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { moments } from "../src/core/moments.ts";
import { addPrefix, type NamedArrays, withPrefix } from "../src/core/named-arrays.ts";
import { Rng } from "../src/core/rng.ts";
import type { Step } from "../src/diffusion/index.ts";
import { openModel } from "../src/evaluate/open-model.ts";
import { sampleComparing } from "../src/evaluate/path-ratio.ts";
import { pathMeasures } from "../src/evaluate/path-summary.ts";
import { asConstants } from "../src/nn/index.ts";
import { klControl } from "../src/objectives/kl-control.ts";
import { writeJsonAtomic } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { initialLawPrefix, initialParts } from "../src/sample/initial-law.ts";
import { constant, evaluate, fill } from "../src/tensor/index.ts";
import { checkInitialLaw } from "../src/train/chain-check.ts";
import { unrecorded } from "../src/train/finetune-loop.ts";
import { finetuneFromInitialLaw } from "../src/train/initial-law.ts";
import { fitInitialValue, valueReward } from "../src/train/initial-value.ts";
import { openPrograms } from "../src/train/programs.ts";
import { sampleRollout } from "../src/train/rollout.ts";
import { initialState } from "../src/train/train-state.ts";
import { countingRuntime } from "./worlds/counting-runtime.ts";
import { result, train } from "./worlds/training.ts";
import { apart, configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const scratch = mkdtempSync(join(tmpdir(), "nablaflow-initial-law-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const runtime = nodeRuntime({ threads: 1 });
const learned = { kind: "kl-control", beta: 1.5, initialLaw: "learned" };
const remembering = (eta: number) => ({ kind: "ddim", steps: 6, eta });
const optimizer = { lr: 5e-3, betas: [0.9, 0.95], decayAt: 0.7 };

/**
 * Of the pretrained chain of a world N(0, I), where ε_# = √(1−ᾱ) x: x_T given x_0 is N(memory · x_0, spread · I).
 */
function linearChain(steps: readonly Step[]) {
  let [memory, spread] = [1, 0];
  for (const { d1, d2, noise, sigma } of steps) {
    const scale = d1 + d2 * noise;
    memory *= scale;
    spread = scale * scale * spread + sigma * sigma;
  }
  return { memory, spread };
}

test("the chain that ends in x_0 forgets its start, and untrained each of its states is N(0, I)", async () => {
  const { model } = await partsOf(plane);
  const { model: standard, chain } = initialParts(model);
  expect(chain.memoryless).toBe(true);
  expect(chain.steps[0]!.d1).toBe(0);
  for (const { d1, sigma, a, s } of chain.steps) {
    expect(Math.abs(d1 - a)).toBeLessThan(1e-12); // v_# = 0
    expect(Math.abs(sigma - s)).toBeLessThan(1e-12);
    expect(Math.abs(d1 * d1 + sigma * sigma - 1)).toBeLessThan(1e-12);
  }
  const frozen = asConstants(standard.weights);
  const condition = standard.encode(frozen, constant(standard.tokenize([""]), [1, 1]));
  const x = constant(Float32Array.of(0.7, -1.9), [1, 2]);
  for (const { t, alphaBar, progress } of chain.steps) {
    const at = { t: fill([1], t), alphaBar: fill([1], alphaBar), progress: fill([1], progress) };
    expect(Math.max(...evaluate([standard.predict(frozen, x, at, condition)])[0]!.map(Math.abs))).toBeLessThan(1e-6);
  }
});

test("an untrained law and policy are the pretrained sampler: no path differs from it", async () => {
  const parts = await partsOf({ ...plane, sampler: remembering(0.3), objective: learned });
  const law = initialParts(parts.model).adaptation.init(new Rng(1));
  const policy = { ...parts.adaptation.init(new Rng(2)), ...addPrefix(law, initialLawPrefix) };
  const prompts = new Array<string>(3).fill("");
  const request = { prompts, seed: 1, purpose: "evaluation", block: 3 } as const;
  const { paths } = await sampleComparing(runtime, parts, policy, request);
  expect(Math.max(...paths.logRatio.map(Math.abs), ...paths.kl)).toBe(0);
});

describe("V(x_0) is log E_#[exp(β r) | x_0], up to a constant", () => {
  const beta = 1.5;
  const points = new Rng(4).normal(400, { purpose: "test" }); // of N(0, I) in the plane
  const rows = Array.from({ length: 200 }, (_, k) => [points[2 * k]!, points[2 * k + 1]!] as const);
  const centred = (values: readonly number[]) => {
    const { mean } = moments(Float64Array.from(values));
    return values.map((value) => value - mean);
  };
  const rms = (values: readonly number[]) => Math.hypot(...values) / Math.sqrt(values.length);
  const distance = (values: readonly number[], expected: readonly number[]) =>
    rms(centred(values).map((value, k) => value - centred(expected)[k]!)) / rms(centred(expected));

  async function fitted(reward: object, eta: number) {
    const file = { ...normal, reward, sampler: remembering(eta), objective: { ...learned, beta } };
    const config = configOf(file, "train.updates=150", `train.flowOptimizer.lr=${optimizer.lr}`);
    const parts = await partsOf(file);
    const weights = (await result(fitInitialValue({ config, parts, runtime }, beta)))!;
    const { model } = initialParts(parts.model);
    const one = constant(new Float32Array(200).fill(1), [200, 1]);
    const value = valueReward(model, weights).score({ images: constant(points, [200, 2]), prompts: one });
    return { values: [...evaluate([value])[0]!], ...linearChain(parts.chain.steps) };
  }

  test("linear reward on N(0, I): β memory k·x_0", async () => {
    const k = [0.5, -1.25] as const;
    const { values, memory } = await fitted({ kind: "linear", k }, 0.3);
    expect(memory).toBeGreaterThan(0.5);
    const expected = rows.map(([x, y]) => beta * memory * (k[0] * x + k[1] * y));
    expect(distance(values, expected)).toBeLessThan(0.1);
  });

  test("quadratic reward: −β|memory x_0 − c|²/(2(τ² + β spread)), not the mean of β r", async () => {
    const [c, tau] = [[0.5, -0.5] as const, 0.8];
    const { values, memory, spread } = await fitted({ kind: "quadratic", center: c, tau }, 0.7);
    const quadratic = (width: number) =>
      rows.map(([x, y]) => (-beta * ((memory * x - c[0]) ** 2 + (memory * y - c[1]) ** 2)) / (2 * width));
    expect(distance(values, quadratic(tau * tau + beta * spread))).toBeLessThan(0.15);
    expect(distance(values, quadratic(tau * tau))).toBeGreaterThan(0.3);
  });
});

describe("a run with a learned law, prompts that pull apart: r = ±x on N(0, 1)", async () => {
  const beta = 1.5;
  const set = ["train.updates=120", "train.trajectories=64", "train.block=64", "train.checkpointEvery=1000"];
  const file = {
    ...apart,
    sampler: remembering(0.3),
    objective: { ...learned, beta },
    train: { ...(plane.train as object), optimizer, flowOptimizer: optimizer },
  };
  const config = configOf(file, ...set);
  const { policy, parts, events } = await train(config);
  const law = withPrefix(policy, initialLawPrefix);
  const { memory, spread } = linearChain(parts.chain.steps);
  const variance = memory ** 2 + spread; // of x_T
  const n = 3000;
  const draw = async (prompt: string, weights: NamedArrays) => {
    const prompts = new Array<string>(n).fill(prompt);
    const request = { prompts, seed: 5, purpose: "evaluation", block: 1000, keepStates: true } as const;
    const { states, paths } = await sampleComparing(runtime, parts, weights, request);
    return { start: moments(states[0]!), end: states.at(-1)!, paths, prompts };
  };

  test.each([
    ["up", 1],
    ["down", -1],
  ])("%s: x_0 ~ N(±β memory, 1), E[x_T] = ±β Var, and the weights of paths sum to Z", async (prompt, sign) => {
    const { start, end, paths, prompts } = await draw(prompt, policy);
    expect(Math.abs(start.mean - sign * beta * memory)).toBeLessThan(0.1);
    expect(Math.abs(start.std - 1)).toBeLessThan(0.1);
    expect(Math.abs(moments(end).mean - sign * beta * variance)).toBeLessThan(0.12);
    // E_θ[exp(β r − log π_θ/π_#)] = E_#[exp(β r)] = exp(β² Var/2) whatever the policy: with both chains in the ratio only
    const logZ = (beta * beta * variance) / 2;
    const rewards = end.map((x) => sign * x);
    const logWeights = paths.logRatio.map((ratio, k) => beta * rewards[k]! - ratio);
    const estimate = Math.log(moments(logWeights.map(Math.exp)).mean);
    expect(Math.abs(estimate - logZ)).toBeLessThan(0.03);
    const { elbo, importanceEss } = pathMeasures(rewards, prompts, paths, beta);
    expect(elbo).toBeLessThan(logZ);
    expect(elbo).toBeGreaterThan(logZ - 0.1);
    expect(importanceEss).toBeGreaterThan(0.8);
  });

  test("without its law the same policy misses the target by what x_0 would have carried", async () => {
    const own = Object.fromEntries(Object.entries(policy).filter(([name]) => !name.startsWith(initialLawPrefix)));
    const { end } = await draw("up", own);
    expect(Math.abs(moments(end).mean - beta * spread)).toBeLessThan(0.12);
    expect(spread).toBeLessThan(0.7 * variance);
  });

  test("rollouts start from it too", async () => {
    const options = { config, parts, runtime, initialLaw: law };
    const state = initialState(options);
    const programs = await openPrograms(options, state);
    const { trajectories } = await sampleRollout(options, state, programs);
    await programs.release();
    const starts = trajectories.states[0]!.map((x, k) => (trajectories.prompts[k] === "up" ? x : -x));
    const error = 1 / Math.sqrt(64);
    expect(Math.abs(moments(starts).mean - beta * memory)).toBeLessThan(3.5 * error);
    expect(beta * memory).toBeGreaterThan(7 * error); // where N(0, 1) would be
  });

  test("the path KL of the law is told: at least KL(ν* ‖ N(0, 1)) = β² memory²/2, about", () => {
    const told = events.filter(({ type }) => type === "initial-law");
    expect(told).toHaveLength(1);
    const { kl } = told[0] as unknown as { kl: number };
    expect(Math.abs(kl / ((beta * memory) ** 2 / 2) - 1)).toBeLessThan(0.25);
  });

  test("its own updates are told before, first those of the value, then those of the chain", () => {
    const told = events.slice(
      0,
      events.findIndex(({ type }) => type === "initial-law"),
    );
    const step = (stage: string) => (_: unknown, k: number) => ({
      type: "initial-law-step",
      stage,
      update: k + 1,
      updates: 120,
    });
    expect(told).toEqual([
      ...Array.from({ length: 120 }, step("value")),
      ...Array.from({ length: 120 }, step("chain")),
    ]);
  });
});

describe("the law travels with the weights", () => {
  const file = { ...plane, sampler: remembering(0.3), objective: learned };
  const config = configOf(file, "train.updates=6", "train.ema=0.5");
  const names = (weights: NamedArrays) => Object.keys(weights).filter((name) => name.startsWith(initialLawPrefix));

  test("into a checkpoint, and out of it when a run directory is opened", async () => {
    const path = join(scratch, "run");
    const abort = new AbortController();
    const { policy, finished } = await train(config, {
      path,
      signal: abort.signal,
      onEvent: ({ type }) => type === "step" && abort.abort(),
    });
    expect(finished).toBe(false);
    await writeJsonAtomic(join(path, "config.json"), config);
    const opened = await openModel(path);
    expect(names(policy)).toHaveLength(8);
    expect(Object.keys(opened.policy!).sort()).toEqual(Object.keys(policy).sort());
    for (const [name, { data }] of Object.entries(policy)) expect(opened.policy![name]!.data, name).toEqual(data);
  });

  test("a run that is stopped before it has the law leaves nothing, and learns it again", async () => {
    const path = join(scratch, "stopped");
    expect((await train(config, { path, signal: AbortSignal.abort() })).finished).toBe(false);
    expect(existsSync(join(path, "checkpoints"))).toBe(false);
    expect((await train(config, { path })).policy).toEqual((await train(config)).policy);
  });
});

test.each(["value", "chain"])(
  "a caller who stops asking during the %s leaves no program open, and the record closed",
  async (stage) => {
    const config = configOf({ ...plane, sampler: remembering(0.3), objective: learned }, "train.updates=2");
    const parts = await partsOf({ ...plane, sampler: remembering(0.3), objective: learned });
    const { runtime: counting, programs } = countingRuntime();
    let closed = 0;
    const run = finetuneFromInitialLaw(
      { config, parts, runtime: counting },
      { ...unrecorded, close: () => void closed++ },
    );
    for await (const event of run) if (event.type === "initial-law-step" && event.stage === stage) break;
    expect([programs.open, closed]).toEqual([0, 1]);
  },
);

describe("refusals", () => {
  const forgetful = { ...plane, sampler: remembering(0.3) };

  test("a fixed law on a chain that remembers its start, with the way out", async () => {
    await expect(partsOf({ ...forgetful, objective: { kind: "kl-control" } })).rejects.toThrow(
      /forgets its start, but sampler "ddim".*"kl-control" with initialLaw: learned/s,
    );
  });

  test("a learned law outside exact worlds", async () => {
    const { model } = await partsOf({ ...forgetful, objective: learned });
    const { prior: _, ...unknown } = model;
    const objective = klControl({ initialLaw: "learned" });
    expect(() => checkInitialLaw(objective, unknown)).toThrow(/in exact worlds only, but the model is of kind/);
    expect(() => checkInitialLaw(objective, model)).not.toThrow();
    expect(() => checkInitialLaw(klControl(), unknown)).not.toThrow();
  });

  test("a learned law on a chain without noise, and another name", async () => {
    await expect(partsOf({ ...plane, sampler: remembering(0), objective: learned })).rejects.toThrow(/σ = 0/);
    expect(() => configOf({ ...forgetful, objective: { ...learned, initialLaw: "free" } })).toThrow(/initialLaw/);
  });

  test("moments of exp(β r) that are no number", async () => {
    const parts = await partsOf({
      ...forgetful,
      reward: { kind: "linear", k: [1e28, 0] },
      objective: learned,
    });
    const run = fitInitialValue(
      { config: configOf(forgetful), parts: withObjective(parts, klControl()), runtime },
      1e30,
    );
    await expect(result(run)).rejects.toThrow(/smaller objective.beta/);
  });
});
