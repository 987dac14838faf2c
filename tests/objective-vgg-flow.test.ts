import { expect, test } from "vitest";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { samplers } from "../src/diffusion/index.ts";
import { vggFlow } from "../src/objectives/vgg-flow.ts";
import { linear } from "../src/rewards/index.ts";
import { dependsOn } from "../src/tensor/index.ts";
import { hostRewardRefused } from "../src/train/config.ts";
import { type Parts, prepare } from "../src/train/prepare.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { differences, meanSquare, plainNetworks, pulledBack, type Row } from "./worlds/plain-networks.ts";
import { tableOf, tabular } from "./worlds/tabular.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const ode = { kind: "ddim", steps: 6, eta: 0 };
const own = (file: object, options: object = {}) => ({
  ...file,
  sampler: ode,
  objective: { kind: "vgg-flow", ...options },
});
const parts = tiny(await partsOf(own(plane)));
const beta = 1.5;
const k = [0.5, -1.25];

test("losses and gradients are those of the formulas, walked in float64 and differenced; each trains its own network", () => {
  const { chain } = parts;
  const params = movedParams(parts);
  const rows = drawnTransitions(parts);
  const plain = plainNetworks(parts);
  const frozen = plain.mean(plain.out());
  const gradReward = (x: Row) => [-(x[0]! - 0.5) / 0.64, -(x[1]! + 0.5) / 0.64];
  const value = (flow: NamedArrays) => (x: Row, i: number) => {
    if (i === chain.T) return gradReward(x);
    const { alphaBar } = chain.levels[i]!;
    const g = plain.flow(flow)(x, i);
    return gradReward(plain.x0Hat(plain.out())(x, i)).map((v, d) => alphaBar * v + g[d]!);
  };
  const tau = (i: number) => (i === chain.T ? 1 : Math.sqrt(chain.levels[i]!.alphaBar));
  const matching = (policy: NamedArrays) =>
    meanSquare(
      rows.map(({ i, x }) => {
        const [p, q, h] = [plain.mean(plain.out(policy))(x, i), frozen(x, i), value(params.flow)(x, i)];
        return p.map((v, d) => (v - q[d]!) / (tau(i + 1) - tau(i)) - beta * h[d]!);
      }),
    );
  const carried = rows.map(({ i, x, xNext }) => pulledBack(frozen, x, i, value(params.flow)(xNext, i + 1)));
  const consistency = (flow: NamedArrays) =>
    meanSquare(rows.map(({ i, x }, b) => value(flow)(x, i).map((v, d) => v - carried[b]![d]!)));
  const traced = trace(withObjective(parts, vggFlow({ beta })), rows, params);
  const [found, other] = [traced.losses.policy!.matching!, traced.losses.flow!.consistency!];
  expect(relativeError([traced.value(found)], [matching(params.policy)])).toBeLessThan(1e-6);
  expect(relativeError([traced.value(other)], [consistency(params.flow)])).toBeLessThan(1e-6);
  const [byTheta, byPhi] = [differences(matching, params.policy), differences(consistency, params.flow)];
  expect(relativeError(traced.slope(found, "policy"), byTheta)).toBeLessThan(tolerances.secondOrder);
  expect(relativeError(traced.slope(other, "flow"), byPhi)).toBeLessThan(tolerances.secondOrder);
  for (const slopes of [byTheta, byPhi]) expect(Math.max(...slopes.map(Math.abs))).toBeGreaterThan(1e-2);
  expect(traced.trained.policy.some((p) => dependsOn([other], p))).toBe(false);
  expect(traced.trained.flow.some((p) => dependsOn([found], p))).toBe(false);
});

test("zero reward: the pretrained policy is the answer, losses and gradients are 0", async () => {
  const made = { ...withObjective(parts, vggFlow({ beta })), reward: await linear({ k: [0, 0] }).load() };
  const { losses, value, slope } = trace(made, drawnTransitions(parts));
  expect(value(losses.policy!.matching!)).toBe(0);
  expect(value(losses.flow!.consistency!)).toBe(0);
  expect(Math.max(...slope(losses.policy!.matching!, "policy").map(Math.abs))).toBe(0);
  expect(Math.max(...slope(losses.flow!.consistency!, "flow").map(Math.abs))).toBe(0);
});

/** N(0, I) as a rectified flow: v = E[z − x0 | x] = (2t − 1) x/(t² + (1 − t)²), t = 1 − signal. */
async function flowWorld(): Promise<Parts> {
  const world = await partsOf(own(normal));
  const chain = samplers
    .flow({ steps: 8, noise: 0 })
    .chain({ scheduler: world.model.scheduler, prediction: "velocity" });
  return {
    ...world,
    chain,
    model: {
      ...world.model,
      predict: (_, x, { t }) => {
        const time = t.reshape([-1, 1]);
        const spread = time.square().add(time.neg().add(1).square());
        return x.mul(time.mul(2).sub(1)).div(spread);
      },
    },
  };
}

test.each([
  ["DDIM", () => partsOf(own(normal))],
  ["rectified flow", flowWorld],
] as const)(
  "linear reward k·x on N(0, I), %s: h_i = k Π J, the policy moves along +βk, and no other sign or scale fits",
  async (name, load) => {
    const world = await load();
    const made = tabular(withObjective(world, vggFlow({ beta, attenuation: "zero" })));
    const { steps, levels, T } = made.chain;
    const rows = drawnTransitions(made);
    const frozen = plainNetworks(world);
    const J = steps.map(({ i }) => frozen.mean(frozen.out())([1, 0], i)[0]!); // μ_# = J x
    const h = (i: number) => k.map((kd) => J.slice(i).reduce((p, q) => p * q, kd));
    const tau = (i: number) => (i === T ? 1 : Math.sqrt(levels[i]!.alphaBar));
    const drift = (i: number) => h(i).map((v) => beta * (tau(i + 1) - tau(i)) * v);
    const solved = (sign: number, scale = 1) =>
      trace(made, rows, {
        policy: tableOf(steps.map(({ i, d2 }) => drift(i).map((v) => (sign * v) / d2))),
        flow: tableOf(steps.map(({ i }) => h(i).map((v) => scale * v))),
      });
    const { losses, value } = solved(1);
    expect(value(losses.policy!.matching!)).toBeLessThan(1e-12);
    expect(value(losses.flow!.consistency!)).toBeLessThan(1e-12);
    const flipped = solved(-1);
    expect(flipped.value(flipped.losses.policy!.matching!)).toBeGreaterThan(1e-2);
    const scaled = solved(1, 1.1);
    expect(scaled.value(scaled.losses.flow!.consistency!)).toBeGreaterThan(1e-6);
    // every J is positive, so each step adds to the end along +k; velocities point to noise, so that theirs is along −k
    expect(Math.min(...J)).toBeGreaterThan(0);
    const ends = k.map((_, d) => steps.reduce((x, { i }) => J[i]! * x + drift(i)[d]!, 0));
    k.forEach((kd, d) => {
      expect(ends[d]! * kd).toBeGreaterThan(0);
    });
    if (name === "rectified flow") for (const { d2 } of steps) expect(d2).toBeLessThan(0);
  },
);

test("a linear reward moves the mean its way, by what the solved equations say", async () => {
  const set = ["train.updates=60", "train.trajectories=8", "train.optimizer.lr=0.05", "train.flowOptimizer.lr=0.05"];
  const config = configOf(own(normal, { beta }), ...set, "train.checkpointEvery=1000");
  const small = tabular(await prepare(config));
  const { policy } = await train(config, { parts: small });
  const [before, after] = [await samplesOf(small, undefined, [""]), await samplesOf(small, policy, [""])];
  const frozen = plainNetworks(await prepare(config));
  const { steps, levels, T } = small.chain;
  const J = steps.map(({ i }) => frozen.mean(frozen.out())([1, 0], i)[0]!);
  const tau = (i: number) => (i === T ? 1 : Math.sqrt(levels[i]!.alphaBar));
  const factor = steps.reduce((x, { i }) => {
    const h = J.slice(i).reduce((p, q) => p * q, 1);
    return J[i]! * x + (tau(i + 1) - tau(i)) * h;
  }, 0);
  k.forEach((kd, d) => {
    expect(Math.abs((after[d]! - before[d]!) / (beta * kd * factor) - 1)).toBeLessThan(0.1);
  });
});

test("refuses a chain with noise and a reward on the host, told what would do", async () => {
  const noisy = configOf({ ...own(plane), sampler: { kind: "ddpm", steps: 6 } });
  await expect(prepare(noisy)).rejects.toThrow(
    /vgg-flow steers a chain without noise.*"ddpm".*eta 0.*residual-nabla-db/s,
  );
  const host = { kind: "on-the-host", options: {}, load: async () => ({ kind: "on-the-host", differentiable: false }) };
  const refused = prepare({ ...configOf(own(plane)), reward: host as never });
  await expect(refused).rejects.toThrow(hostRewardRefused("vgg-flow", "on-the-host", "reward").message);
});
