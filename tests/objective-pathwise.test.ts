import { describe, expect, test } from "vitest";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { Rng } from "../src/core/rng.ts";
import { expectedReward, tilted } from "../src/models/exact-target.ts";
import { asConstants } from "../src/nn/index.ts";
import { draft } from "../src/objectives/draft.ts";
import { draftLv } from "../src/objectives/draft-lv.ts";
import type { Objective } from "../src/objectives/index.ts";
import { klControl } from "../src/objectives/kl-control.ts";
import { refl } from "../src/objectives/refl.ts";
import { referenceRuntime } from "../src/runtime/reference.ts";
import { constant, evaluate, fill } from "../src/tensor/index.ts";
import { minibatch } from "../src/train/minibatch.ts";
import { prepare } from "../src/train/prepare.ts";
import { chooseTransitions, stepDraw, transitionChoice } from "../src/train/transitions.ts";
import { bindParams, compileUpdate, policyPrefix } from "../src/train/update-program.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { withRollout } from "./worlds/rollouts.ts";
import { spyRuntime } from "./worlds/spy.ts";
import { tabular } from "./worlds/tabular.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { movedParams, total, trace } from "./worlds/transitions.ts";
import { apart, configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const parts = tiny(await partsOf(plane));
const { chain, model } = parts;
const { T } = chain;
const D = 2;
const B = 3;

/** The reward of `plane`, written out: −‖x − c‖²/(2τ²). */
const rewardAt = (x: ArrayLike<number>) => -((x[0]! - 0.5) ** 2 + (x[1]! + 0.5) ** 2) / (2 * 0.8 ** 2);
const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

type Row = readonly number[];
type Network = (x: Row, i: number) => Row;
/** The denoiser in float64 at one state, at its own θ or at the frozen one: nothing of the graphs under test. */
function networkOf(policy?: NamedArrays): Network {
  const frozen = asConstants(model.weights);
  const params = policy ? { ...frozen, ...asConstants(policy) } : frozen;
  const tokens = constant(model.tokenize([""]), [1, model.tokenLength]);
  const condition = model.encode(frozen, tokens);
  return (x, i) => {
    const { t, alphaBar, progress } = chain.levels[i]!;
    const at = { t: fill([1], t), alphaBar: fill([1], alphaBar), progress: fill([1], progress) };
    const state = constant(Float64Array.from(x) as unknown as Float32Array, [1, D]);
    return [...evaluate([model.predict(params, state, at, condition)])[0]!];
  };
}

/** The chain from x_i on, step by step, with given σz: all its states, x_i first. */
function walk(network: Network, x: Row, i: number, noise: readonly Row[]): Row[] {
  const states = [x];
  for (let k = i; k < T; k++) {
    const { d1, d2 } = chain.steps[k]!;
    const now = states.at(-1)!;
    const out = network(now, k);
    states.push(now.map((v, d) => d1 * v + d2 * out[d]! + noise[k]![d]!));
  }
  return states;
}

const params = movedParams(parts);
const drawn = (purpose: number, size: number) => [...new Rng(5).normal(size, { purpose: "test", sample: purpose })];
/** σ_k z_k of every row and step; x_0 of every row; the states that follow from them. */
const noises = Array.from({ length: B }, (_, b) =>
  chain.steps.map(({ sigma }, k) => drawn(10 * b + k, D).map((z) => sigma * z)),
);
const paths = noises.map((noise, b) => walk(networkOf(params.policy), drawn(100 + b, D), 0, noise));

/** The losses of rows that start at the given steps, with the values of all inputs they may have. */
function traced(objective: Objective, starts: readonly number[], more: Record<string, ArrayLike<number>> = {}) {
  const rows = starts.map((i, b) => ({ i, x: paths[b]![i]!, xNext: paths[b]![i + 1]! }));
  const { from } = stepDraw(objective, T);
  return trace(withObjective(parts, objective), rows, {
    ...params,
    more: {
      "path.x": paths.flatMap((path) => path[from]!),
      "path.noise": chain.steps.slice(from).flatMap(({ i }) => noises.flatMap((noise) => noise[i]!)),
      "path.start": starts,
      ...more,
    },
  });
}

/** Central differences of a loss by every number of θ, where the loss is a plain function of the network. */
function differences(loss: (network: Network) => number, at: NamedArrays = params.policy): number[] {
  const h = 1e-4;
  return Object.entries(at).flatMap(([name, { shape, data }]) =>
    Array.from(data, (value, k) => {
      const moved = (step: number) => {
        const array = Float64Array.from(data);
        array[k] = value + step;
        return loss(networkOf({ ...at, [name]: { shape, data: array as unknown as Float32Array } }));
      };
      return (moved(h) - moved(-h)) / (2 * h);
    }),
  );
}

/** −mean r(x_T) of chains that start at each row's own x_i. */
const draftLoss = (starts: readonly number[]) => (network: Network) =>
  -mean(starts.map((i, b) => rewardAt(walk(network, paths[b]![i]!, i, noises[b]!).at(-1)!)));

const gradientsAgree = (
  objective: Objective,
  starts: readonly number[],
  loss: (network: Network) => number,
  more = {},
) => {
  const { losses, value, slope } = traced(objective, starts, more);
  const sum = total(losses.policy!);
  expect(relativeError([value(sum)], [loss(networkOf(params.policy))])).toBeLessThan(1e-7); // c, d are rounded to float32
  const expected = differences(loss);
  expect(relativeError(slope(sum, "policy"), expected)).toBeLessThan(tolerances.gradient);
  expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-6);
  expect(losses.flow).toBeUndefined();
};

describe("loss and gradient are those of the chain itself, walked in float64 and differenced", () => {
  test.each([1, 2, 4])("draft, the last %d steps: x_{T−K} is held fixed", (lastSteps) => {
    const starts = new Array<number>(B).fill(T - lastSteps);
    gradientsAgree(draft({ lastSteps }), starts, draftLoss(starts));
  });

  test("draft, all steps: the gradient of E[r(x_T)]", () => {
    const starts = new Array<number>(B).fill(0);
    gradientsAgree(draft({ lastSteps: "all" }), starts, draftLoss(starts));
  });

  test("draft, random: each row from its own x_i on", () => {
    const starts = [0, 3, T - 1];
    gradientsAgree(draft({ lastSteps: "random" }), starts, draftLoss(starts));
  });

  test("draft, random, with every row drawn at the start: the same as all steps", () => {
    const starts = new Array<number>(B).fill(0);
    const slopes = (["random", "all"] as const).map((lastSteps) => {
      const { losses, slope } = traced(draft({ lastSteps }), starts);
      return slope(losses.policy!.reward!, "policy");
    });
    expect(relativeError(slopes[0]!, slopes[1]!, 1e-12)).toBeLessThan(1e-12);
  });

  test("kl-control: Σ ‖μ_θ − μ_#‖²/(2σ²) − β r(x_T), summed over elements", () => {
    const beta = 2.5;
    const reference = networkOf();
    const loss = (network: Network) =>
      mean(
        paths.map(([start], b) => {
          const states = walk(network, start!, 0, noises[b]!);
          const kl = chain.steps.map(({ i, d2, sigma }) => {
            const [out, frozen] = [network(states[i]!, i), reference(states[i]!, i)];
            return out.reduce((sum, v, d) => sum + (d2 * (v - frozen[d]!)) ** 2 / (2 * sigma ** 2), 0);
          });
          return kl.reduce((sum, v) => sum + v, 0) - beta * rewardAt(states[T]!);
        }),
      );
    gradientsAgree(klControl({ beta }), new Array<number>(B).fill(0), loss);
  });

  test.each([
    [null, 1, (r: number) => -r],
    [0.1, 0.5, (r: number) => 0.5 * Math.max(0.1 - r, 0)],
    [-1, 1, (r: number) => Math.max(-1 - r, 0)],
  ])("refl with threshold %s and weight %d: r at x̂_θ(x_m)", (threshold, weight, of) => {
    const starts = [T - 1, T - 2, T - 1];
    const loss = (network: Network) =>
      mean(
        starts.map((i, b) => {
          const { c1, c2 } = chain.steps[i]!;
          const out = network(paths[b]![i]!, i);
          return of(rewardAt(paths[b]![i]!.map((v, d) => c1 * v + c2 * out[d]!)));
        }),
      );
    gradientsAgree(refl({ threshold, weight }), starts, loss);
  });

  test("refl: rewards above the threshold have no gradient", () => {
    const { losses, slope } = traced(refl({ threshold: -100 }), [T - 1, T - 1, T - 1]);
    expect(slope(losses.policy!.reward!, "policy").every((g) => g === 0)).toBe(true);
  });

  test("draft-lv: r at x̂_θ of x_T noised again", () => {
    const z = drawn(200, B * D);
    const { a, s, c1, c2 } = chain.steps[T - 1]!;
    const loss = (network: Network) =>
      mean(
        paths.map((path, b) => {
          const x = path[T]!.map((v, d) => a * v + s * z[b * D + d]!);
          const out = network(x, T - 1);
          return -rewardAt(x.map((v, d) => c1 * v + c2 * out[d]!));
        }),
      );
    gradientsAgree(draftLv({ renoisings: 1 }), new Array<number>(B).fill(T - 1), loss, { noise: z });
  });
});

describe("an update", () => {
  const configured = (file: object, objective: object, ...set: string[]) => configOf({ ...file, objective }, ...set);

  test.each([
    { kind: "draft", lastSteps: 2 },
    { kind: "draft", lastSteps: "all" },
    { kind: "draft", lastSteps: "random" },
    { kind: "kl-control", beta: 1 },
  ])("%o walks the rollout's own trajectories again, and its program computes what float64 computes", (objective) => {
    const config = configured(apart, objective);
    return withRollout(config, async ({ rollout, programs, parts: made }) => {
      const choice = transitionChoice(made.objective, made.chain.T, { strata: 1, rng: new Rng(3), update: 0 });
      const chosen = chooseTransitions(8, made.chain.T, choice);
      const feeds = minibatch(made, programs.conditions, rollout, chosen, programs.update.inputs);
      const withTheta = (policy: NamedArrays) => ({
        ...feeds,
        ...Object.fromEntries(Object.entries(policy).map(([name, { data }]) => [policyPrefix + name, data])),
      });
      // the θ of the rollout, so the trajectories' own ends
      const initial = made.adaptation.init(new Rng(config.train.seed));
      const loss = (await programs.update.run(withTheta(initial)))["loss.policy.reward"]![0]!;
      expect(relativeError([loss], [-mean([...rollout.rewards])])).toBeLessThan(tolerances.float32);
      // another θ, where no gradient is zero
      const { policy, flow } = movedParams(made);
      const result = await programs.update.run(withTheta(policy));
      const oracle = await compileUpdate(referenceRuntime(), made, bindParams(made, policy, flow), programs.batch);
      const expected = await oracle.run(withTheta(policy));
      for (const [name, values] of Object.entries(expected)) {
        const largest = Math.max(...[...values].map(Math.abs));
        expect(largest, name).toBeGreaterThan(0);
        expect(relativeError(result[name]!, values, largest), name).toBeLessThan(1e-4);
      }
    });
  });

  test.each([
    [refl(), 1],
    [draft(), 1],
    [draft({ lastSteps: 3 }), 3],
    [draft({ lastSteps: "random" }), T],
    [draftLv(), 1], // rows of one batch
    [klControl(), 2 * T],
  ])("$0.kind evaluates networks as often as it says: %#", (objective, count) => {
    let evaluations = 0;
    const counting = {
      ...withObjective(parts, objective),
      model: {
        ...model,
        predict(...given: Parameters<typeof model.predict>) {
          evaluations++;
          return model.predict(...given);
        },
      },
    };
    const { from } = stepDraw(objective, T);
    trace(counting, [{ i: from, x: [0, 0], xNext: [0, 0] }]);
    expect(evaluations).toBe(count);
  });

  test("refl draws each trajectory's step from the late ones, all of them in time", () => {
    const objective = refl({ late: 0.3 });
    const of = (update: number) =>
      chooseTransitions(50, 20, transitionChoice(objective, 20, { strata: 1, rng: new Rng(1), update })).map(
        ({ i }) => i,
      );
    expect(new Set(of(0))).toEqual(new Set([14, 15, 16, 17, 18, 19]));
    expect(of(1)).not.toEqual(of(0));
    expect(of(1)).toEqual(of(1));
    expect(refl({ late: 0.01 }).transitions).toBeTypeOf("function");
    expect(stepDraw(refl({ late: 0.01 }), 20)).toEqual({ count: 1, from: 19, below: 20 });
  });

  test("draft-lv noises each trajectory's x_T n times, anew in every row and update, however it is split", async () => {
    const noisesOf = async (...set: string[]) => {
      const { runtime, runs } = spyRuntime();
      const config = configured(plane, { kind: "draft-lv", renoisings: 3 }, "train.updates=2", ...set);
      await train(config, { runtime });
      return runs.filter(({ program }) => program === "update").flatMap(({ feeds }) => [...feeds.noise!]);
    };
    const whole = await noisesOf();
    expect(whole).toHaveLength(2 * 8 * 3 * D);
    expect(new Set(whole).size).toBe(whole.length);
    expect(await noisesOf("train.accumulate=4")).toEqual(whole);
  });

  test.each([
    ["refl", { threshold: null, weight: 1 }],
    ["draft", { lastSteps: "all" }],
    ["draft-lv", {}],
    ["kl-control", {}],
  ])("%s: zero reward moves nothing", async (kind, options) => {
    const flat = { ...plane, reward: { kind: "linear", k: [0, 0] } };
    const { steps } = await train(configured(flat, { kind, ...options }, "train.updates=2"));
    for (const { losses, gradientNorm } of steps) {
      expect(Object.values(losses).map(Math.abs)).toEqual(Object.values(losses).map(() => 0));
      expect(gradientNorm).toEqual({ policy: 0 });
    }
  });
});

describe("kl-control finds the tilted law", () => {
  const k = [0.5, -1.25];
  const beta = 1.5;

  test("linear reward on N(0, I): 70 updates move E[x_T] by βk Σ σ_i² Π a_j²", async () => {
    const set = ["sampler.steps=10", "train.updates=70", "train.trajectories=4", "train.block=4"];
    const own = { ...normal, objective: { kind: "kl-control", beta } };
    const config = configOf(own, ...set, "train.optimizer.lr=0.05", "train.checkpointEvery=1000");
    const small = tabular(await prepare(config));
    const { policy } = await train(config, { parts: small });
    const factor = small.chain.steps.reduce((sum, { sigma, a }) => sum * a * a + sigma * sigma, 0);
    const before = await samplesOf(small, undefined, [""]);
    const after = await samplesOf(small, policy, [""]);
    k.forEach((kd, d) => {
      expect(Math.abs((after[d]! - before[d]!) / (beta * kd * factor) - 1)).toBeLessThan(0.05);
    });
  });

  test("at the start the gradient by ε_θ is −β d₂ k √(ᾱ_{i+1}/ᾱ_T) per trajectory: the adjoint of adjoint matching", async () => {
    const made = tabular(withObjective(await partsOf(normal), klControl({ beta })));
    const { steps, levels, T: length } = made.chain;
    const rows = [{ i: 0, x: [0.3, -0.2], xNext: [0, 0] }];
    const more = { "path.x": [0.3, -0.2], "path.noise": drawn(300, length * D), "path.start": [0] };
    const { losses, slope } = trace(made, rows, { more });
    const expected = steps.flatMap(({ i, d2 }) =>
      k.map((kd) => -beta * d2 * kd * Math.sqrt(levels[i + 1]!.alphaBar / levels[length]!.alphaBar)),
    );
    expect(relativeError(slope(total(losses.policy!), "policy"), expected, 1e-9)).toBeLessThan(1e-6);
  });
});

describe("refusals", () => {
  const kinds = [refl, draft, draftLv, klControl];

  test("a reward that runs on the host: told which rewards and which objectives would do", () => {
    for (const { kind } of kinds) {
      const config = { ...plane, reward: { kind: "jpeg-size" }, objective: { kind } };
      expect(() => configOf(config), kind).toThrow(
        new RegExp(`${kind} needs a differentiable reward.*jpeg-size.*ddpo.*quadratic`),
      );
    }
  });

  test("kl-control on a chain that remembers its start, told which do not", async () => {
    for (const eta of [0, 0.5]) {
      const config = configOf(
        { ...plane, objective: { kind: "kl-control" } },
        "sampler.kind=ddim",
        `sampler.eta=${eta}`,
      );
      await expect(prepare(config)).rejects.toThrow(/kl-control.*sampler "ddim".*ddpm/s);
    }
  });

  test("the maximisers train on any chain, with noise or without", async () => {
    for (const { kind } of [refl, draft, draftLv]) {
      for (const eta of [0, 0.5]) {
        const set = ["sampler.kind=ddim", `sampler.eta=${eta}`, "train.updates=1"];
        const { steps } = await train(configOf({ ...plane, objective: { kind } }, ...set));
        expect(steps[0]!.gradientNorm.policy, kind).toBeGreaterThan(1e-6);
      }
    }
  });

  test("more last steps than the chain has", () => {
    const objective = { kind: "draft", lastSteps: 7 };
    expect(() => configOf({ ...plane, objective })).toThrow(/draft goes back 7 steps.*sampler\.steps = 6/);
  });
});

test("80 updates: the maximisers end at a point, kl-control near its target", async () => {
  const set = ["train.updates=80", "train.trajectories=16", "train.block=16", "train.checkpointEvery=1000"];
  const after = async (objective: object) => {
    const config = configOf({ ...plane, objective }, ...set, "train.optimizer.lr=0.01");
    const { policy, parts: made } = await train(config);
    const x = await samplesOf(made, policy, new Array<string>(400).fill(""));
    const rows = Array.from({ length: 400 }, (_, b) => x.subarray(D * b, D * b + D));
    const centre = [0, 1].map((d) => mean(rows.map((row) => row[d]!)));
    const variance = mean(rows.map((row) => ((row[0]! - centre[0]!) ** 2 + (row[1]! - centre[1]!) ** 2) / D));
    return { std: Math.sqrt(variance), reward: mean(rows.map(rewardAt)) };
  };
  const reward = { kind: "quadratic", center: [0.5, -0.5], tau: 0.8 } as const;
  const prior = model.prior![""]!;
  const [best, before] = [tilted(prior, reward, 1)!, prior].map((law) => expectedReward(law, reward)!) as [
    number,
    number,
  ];
  for (const maximiser of [{ kind: "refl" }, { kind: "draft", lastSteps: "all" }]) {
    const { std, reward: reached } = await after(maximiser);
    expect(std, maximiser.kind).toBeLessThan(0.25);
    expect(reached, maximiser.kind).toBeGreaterThan(-0.1);
  }
  const { std, reward: reached } = await after({ kind: "kl-control", beta: 1 });
  expect(std).toBeGreaterThan(0.5);
  expect(Math.abs(reached - best)).toBeLessThan(0.35 * Math.abs(before - best));
}, 60_000);
