import { describe, expect, test } from "vitest";
import { gaussian } from "../src/diffusion/index.ts";
import { residualDb } from "../src/objectives/residual-db.ts";
import { constant, type Tensor } from "../src/tensor/index.ts";
import { hostRewardRefused } from "../src/train/config.ts";
import { type Parts, prepare } from "../src/train/prepare.ts";
import { relativeError } from "./tolerances.ts";
import { tableOf, tabular } from "./worlds/tabular.ts";
import { tiny } from "./worlds/tiny.ts";
import { train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, normal, onHost, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const beta = 1.5;
const own = (file: object, options: object = {}) => ({ ...file, objective: { kind: "residual-db", beta, ...options } });
const attenuations = ["squared", "linear", "none", "zero"] as const;
type Attenuation = (typeof attenuations)[number];
const gammaOf = (signal: Tensor) => ({
  squared: signal.square(),
  linear: signal,
  none: signal.mul(0).add(1),
  zero: signal.mul(0),
});

describe("linear reward k·x on the prior N(0, I), DDPM chain", async () => {
  const k = [0.5, -1.25];
  const tables = tabular(await partsOf(normal));
  const { chain } = tables;
  const alphaT = chain.levels[chain.T]!.alphaBar;
  const h = (i: number) => k.map((kd) => beta * kd * Math.sqrt(chain.levels[i]!.alphaBar / alphaT));
  const transitions = drawnTransitions(tables);
  const more = { reward: transitions.map(({ xNext }) => k[0]! * xNext[0]! + k[1]! * xNext[1]!) };

  /** f_φ = (h_i − γ_i β k√ᾱ_i)·x + table[i]: what is left of log F̃_i = h_i·x + c_i. */
  const withFlow = (attenuation: Attenuation): Parts => ({
    ...tables,
    objective: residualDb({ beta, attenuation }),
    model: {
      ...tables.model,
      flow: {
        init: tables.model.flow.init,
        predict(params, x, time, condition) {
          const signal = time.alphaBar.sqrt();
          const share = signal.mul(1 / Math.sqrt(alphaT)).sub(signal.mul(gammaOf(signal)[attenuation]));
          const along = x
            .mul(constant(Float32Array.from(k), [1, 2]))
            .sum([1])
            .mul(beta)
            .mul(share);
          return tables.model.flow.predict(params, x, time, condition).add(along.reshape([-1, 1]));
        },
      },
    },
  });
  /** c_i = c_{i+1} + σ_i²‖h_{i+1}‖²/2, c_T = 0. */
  const constants = chain.steps.map(({ i }) =>
    chain.steps
      .slice(i)
      .reduce((sum, step) => sum + (step.sigma ** 2 * (h(step.i + 1)[0]! ** 2 + h(step.i + 1)[1]! ** 2)) / 2, 0),
  );
  const flow = tableOf(constants.map((c) => [c, c]));
  const policyFor = (sign: number) =>
    tableOf(chain.steps.map(({ sigma, d2 }, i) => h(i + 1).map((value) => (sign * sigma ** 2 * value) / d2)));

  test.each(attenuations)(
    "γ %s: Δ_i = h_{i+1} and log F̃_i = h_i·x + c_i balance every transition; another sign or constant does not",
    (attenuation) => {
      const parts = withFlow(attenuation);
      const solved = trace(parts, transitions, { policy: policyFor(1), flow, more });
      expect(solved.value(solved.losses.policy!.balance!)).toBeLessThan(1e-20);
      const flipped = trace(parts, transitions, { policy: policyFor(-1), flow, more });
      expect(flipped.value(flipped.losses.policy!.balance!)).toBeGreaterThan(1e-2);
      const shifted = trace(parts, transitions, { policy: policyFor(1), more });
      expect(shifted.value(shifted.losses.flow!.balance!)).toBeGreaterThan(1e-4);
    },
  );
});

describe("the loss", async () => {
  const parts = tiny(await partsOf(plane));
  const transitions = drawnTransitions(parts);
  const reward = transitions.map((_, b) => 0.5 * b - 1);

  test.each(attenuations)(
    "γ %s is the squared balance of log-densities and flows, for both networks",
    (attenuation) => {
      const params = movedParams(parts);
      const traced = trace(withObjective(parts, residualDb({ beta, attenuation })), transitions, {
        ...params,
        more: { reward },
      });
      const { state, next, sigma } = traced.batch;
      const ratio = gaussian
        .logProb(next.x, state.policy.mean, sigma)
        .sub(gaussian.logProb(next.x, state.reference.mean, sigma));
      // r(x) = −‖x − c‖²/(2τ²) of the plane
      const scoreOf = (x: Tensor) =>
        x
          .sub(constant(Float32Array.of(0.5, -0.5), [1, 2]))
          .square()
          .sum([1])
          .mul(-1 / (2 * 0.8 * 0.8));
      const logFlow = ({ signal, reference, flow }: typeof state) => {
        const gamma = gammaOf(signal.reshape([transitions.length]))[attenuation];
        return scoreOf(reference.x0Hat)
          .mul(gamma)
          .mul(beta)
          .add(flow.mean([1]));
      };
      const last = constant(
        Float32Array.from(transitions, (_, b) => (b === transitions.length - 1 ? 1 : 0)),
        [transitions.length],
      );
      const end = constant(Float32Array.from(reward), [transitions.length]).mul(beta);
      const ahead = logFlow(next).mul(last.neg().add(1)).add(end.mul(last));
      const expected = ratio.add(logFlow(state)).sub(ahead).square().mean();
      for (const network of ["policy", "flow"] as const) {
        const found = traced.losses[network]!.balance!;
        expect(relativeError([traced.value(found)], [traced.value(expected)])).toBeLessThan(1e-7); // constants are float32
        const slope = traced.slope(found, network);
        expect(relativeError(slope, traced.slope(expected, network), 1e-3)).toBeLessThan(1e-6);
        expect(Math.max(...slope.map(Math.abs))).toBeGreaterThan(1e-3);
      }
    },
  );

  test("zero reward: the pretrained policy and a flow of 0 are the answer, nothing moves", async () => {
    const config = configOf(own({ ...plane, reward: { kind: "linear", k: [0, 0] } }), "train.updates=2");
    const { steps } = await train(config);
    for (const { losses, gradientNorm } of steps) {
      expect(losses).toEqual({ "policy.balance": 0, "flow.balance": 0 });
      expect(gradientNorm).toEqual({ policy: 0, flow: 0 });
    }
  });
});

test("with attenuation zero a reward on the host trains; otherwise it is refused, told what would do", async () => {
  const config = configOf(own(plane, { attenuation: "zero" }), "train.updates=2");
  const { steps } = await train(config, { parts: { ...(await prepare(config)), reward: onHost } });
  expect(steps[1]!.gradientNorm.policy).toBeGreaterThan(0);
  expect(steps[1]!.gradientNorm.flow).toBeGreaterThan(0);
  const value = { kind: "on-the-host", options: {}, load: async () => onHost };
  await expect(prepare({ ...config, reward: value as never })).resolves.toBeDefined();
  const refused = prepare({ ...configOf(own(plane)), reward: value as never });
  await expect(refused).rejects.toThrow(hostRewardRefused("residual-db", "on-the-host", "reward").message);
});

test("a chain that remembers its start is refused", async () => {
  const config = configOf(own(plane), "sampler.kind=ddim", "sampler.eta=0.5");
  await expect(prepare(config)).rejects.toThrow(/residual-db.*forgets its start/s);
});
