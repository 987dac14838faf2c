import { expect, test } from "vitest";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { dagKl } from "../src/objectives/dag-kl.ts";
import { dependsOn } from "../src/tensor/index.ts";
import { hostRewardRefused } from "../src/train/config.ts";
import { prepare } from "../src/train/prepare.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { differences, plainNetworks, type Row } from "./worlds/plain-networks.ts";
import { tiny } from "./worlds/tiny.ts";
import { train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const own = (file: object, options: object = {}) => ({ ...file, objective: { kind: "dag-kl", ...options } });
const parts = tiny(await partsOf(plane));
const { chain } = parts;
const beta = 1.5;
const params = movedParams(parts);
const rows = drawnTransitions(parts);
const rewards = rows.map((_, b) => 0.25 * b - 1);
const plain = plainNetworks(parts);

const rewardAt = (x: Row) => -((x[0]! - 0.5) ** 2 + (x[1]! + 0.5) ** 2) / (2 * 0.8 ** 2);
const logNormal = (x: Row, mean: Row, std: number) =>
  x.reduce((sum, v, d) => sum - (v - mean[d]!) ** 2 / (2 * std ** 2) - Math.log(std * Math.sqrt(2 * Math.PI)), 0);
const logPolicy = (policy: NamedArrays) =>
  rows.map(({ i, x, xNext }) => logNormal(xNext, plain.mean(plain.out(policy))(x, i), chain.steps[i]!.sigma));
/** δ = log F' + log P_B − log π_θ − log F of every row. */
function deltas(policy: NamedArrays, flow: NamedArrays): number[] {
  const logF = (x: Row, i: number, b: number) => {
    if (i === chain.T) return beta * rewards[b]!;
    const [p, q] = plain.flow(flow)(x, i) as [number, number];
    return beta * rewardAt(plain.x0Hat(plain.out())(x, i)) + (p + q) / 2;
  };
  const forward = logPolicy(policy);
  return rows.map(({ i, x, xNext }, b) => {
    const { a, s } = chain.steps[i]!;
    const back = logNormal(
      x,
      xNext.map((v) => a * v),
      s,
    );
    return logF(xNext, i + 1, b) + back - forward[b]! - logF(x, i, b);
  });
}
const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
const others = (values: readonly number[], b: number) => mean(values.filter((_, k) => k !== b));

/** Element-mean log-probabilities, up to log √2π, of a policy as the stored ones. */
const oldLogProb = (policy: NamedArrays) => logPolicy(policy).map((v) => v / 2 + Math.log(Math.sqrt(2 * Math.PI)));
const traced = (stored: readonly number[], given = rows, options = {}) =>
  trace(withObjective(parts, dagKl({ beta, ...options })), given, {
    ...params,
    more: { reward: rewards.slice(0, given.length), oldLogProb: stored.slice(0, given.length) },
  });

test("the policy climbs δ less the mean of the others, over their spread; the flow regresses δ away", () => {
  const { losses, slope, value } = traced(oldLogProb(params.policy), rows, { clip: 0.5 });
  const delta = deltas(params.policy, params.flow);
  const centred = delta.map((v, b) => v - others(delta, b));
  const advantage = centred.map((v, b) => {
    const spread = Math.sqrt(
      others(
        centred.map((c) => c * c),
        b,
      ),
    );
    return Math.max(-5, Math.min(5, v / (spread + 1e-8)));
  });
  // where ρ = 1 its slope is that of log π_θ
  const climbed = (policy: NamedArrays) => -mean(oldLogProb(policy).map((v, b) => advantage[b]! * v));
  const balance = (flow: NamedArrays) => mean(deltas(params.policy, flow).map((v) => v * v));
  expect(relativeError([value(losses.policy!.surrogate!)], [-mean(advantage)])).toBeLessThan(1e-6);
  expect(relativeError([value(losses.flow!.balance!)], [balance(params.flow)])).toBeLessThan(1e-6);
  const [byTheta, byPhi] = [differences(climbed, params.policy), differences(balance, params.flow)];
  expect(relativeError(slope(losses.policy!.surrogate!, "policy"), byTheta)).toBeLessThan(tolerances.secondOrder);
  expect(relativeError(slope(losses.flow!.balance!, "flow"), byPhi)).toBeLessThan(tolerances.secondOrder);
  for (const slopes of [byTheta, byPhi]) expect(Math.max(...slopes.map(Math.abs))).toBeGreaterThan(1e-2);
});

test("a part trains only its own network", () => {
  const { losses, trained } = traced(oldLogProb(params.policy));
  expect(trained.policy.some((p) => dependsOn([losses.flow!.balance!], p))).toBe(false);
  expect(trained.flow.some((p) => dependsOn([losses.policy!.surrogate!], p))).toBe(false);
});

test("where the ratio has left the clip range on the good side there is no gradient", () => {
  // every ratio is e
  const { losses, slope } = traced(oldLogProb(params.policy).map((v) => v - 1));
  const delta = deltas(params.policy, params.flow);
  const centred = delta.map((v, b) => v - others(delta, b));
  const advantage = centred.map(
    (v, b) =>
      v /
      Math.sqrt(
        others(
          centred.map((c) => c * c),
          b,
        ),
      ),
  );
  expect(Math.max(...advantage)).toBeLessThan(5);
  expect(Math.min(...advantage)).toBeGreaterThan(-5);
  const kept = (policy: NamedArrays) =>
    -mean(oldLogProb(policy).map((v, b) => (advantage[b]! < 0 ? advantage[b]! * Math.E * v : 0)));
  const expected = differences(kept, params.policy);
  expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-2);
  expect(relativeError(slope(losses.policy!.surrogate!, "policy"), expected)).toBeLessThan(tolerances.secondOrder);
});

test("one outlier among nine has an advantage of 5, though it lies 8 spreads of the others off", () => {
  const nine = new Array(9).fill(rows[chain.T - 1]!) as typeof rows;
  const { losses, value } = trace(withObjective(parts, dagKl({ beta })), nine, {
    ...params,
    more: {
      reward: nine.map((_, b) => (b === 0 ? 1e4 : 0)),
      oldLogProb: nine.map(() => oldLogProb(params.policy)[chain.T - 1]!),
    },
  });
  // of the eight, each is 1/8 below the mean of its others, whose squares are 1 and seven times 1/64
  const below = 1 / 8 / Math.sqrt((1 + 7 / 64) / 8);
  expect(relativeError([value(losses.policy!.surrogate!)], [-(5 - 8 * below) / 9])).toBeLessThan(1e-6);
});

test("one transition has no others to be compared with", () => {
  expect(() => traced(oldLogProb(params.policy), rows.slice(0, 1))).toThrow(/dag-kl.*train\.accumulate/);
});

test("refuses a reward on the host, told what would do, and a chain that remembers its start; trains on one that does not", async () => {
  const host = { kind: "on-the-host", options: {}, load: async () => ({ kind: "on-the-host", differentiable: false }) };
  const refused = prepare({ ...configOf(own(plane)), reward: host as never });
  await expect(refused).rejects.toThrow(hostRewardRefused("dag-kl", "on-the-host", "reward").message);
  const config = configOf(own(plane), "sampler.kind=ddim", "sampler.eta=0.5");
  await expect(prepare(config)).rejects.toThrow(/dag-kl.*forgets its start/s);
  const { steps } = await train(configOf(own(plane), "train.updates=2", "train.updatesPerRollout=2"));
  for (const { losses, gradientNorm } of steps) {
    expect(Object.keys(losses)).toEqual(["policy.surrogate", "flow.balance"]);
    expect(gradientNorm.policy).toBeGreaterThan(0);
  }
});
