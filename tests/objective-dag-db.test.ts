import { expect, test } from "vitest";
import { dagDb } from "../src/objectives/dag-db.ts";
import { quadratic } from "../src/rewards/index.ts";
import { constant, type Tensor } from "../src/tensor/index.ts";
import { hostRewardRefused } from "../src/train/config.ts";
import { type Parts, prepare } from "../src/train/prepare.ts";
import { tiny } from "./worlds/tiny.ts";
import { train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, normal, onHost, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const own = (file: object, options: object = {}) => ({ ...file, objective: { kind: "dag-db", ...options } });

test("a chain that reverses the noising of one point c balances every transition; another point or width does not", async () => {
  // If x_T ~ N(√ᾱ_T c, (1 − ᾱ_T) I) = exp(βr)/Z, then F_i ∝ N(√ᾱ_i c, (1 − ᾱ_i) I), and DDPM's kernel with x̂ = c is exact.
  const world = await partsOf(normal, "sampler.steps=6"); // prior N(0, I): x̂_# = √ᾱ x
  const { chain, model } = world;
  const alphaT = chain.levels[chain.T]!.alphaBar;
  const center = [0.5, -0.25];
  const c = center.map((v) => v / Math.sqrt(alphaT));
  const beta = 1 / (1 - alphaT);
  const logReward = (x: readonly number[]) => -((x[0]! - center[0]!) ** 2 + (x[1]! - center[1]!) ** 2) / 2;
  const reward = await quadratic({ center, tau: 1 }).load();
  const column = (values: Tensor) => values.reshape([-1, 1]);
  const point = (signal: Tensor, scale: number) =>
    column(signal).mul(
      constant(
        Float32Array.from(c, (v) => v * scale),
        [1, 2],
      ),
    );
  const parts = (scale: number, width: number): Parts => ({
    ...world,
    reward,
    objective: dagDb({ beta }),
    adaptation: {
      init: () => ({ shift: { shape: [1], data: new Float32Array(1) } }),
      bind: (frozen, trained) => ({ ...frozen, ...trained }),
    },
    model: {
      ...model,
      predict(params, x, time, condition) {
        if (!params.shift) return model.predict(params, x, time, condition);
        const noise = column(time.alphaBar.neg().add(1).sqrt());
        return x.sub(point(time.alphaBar.sqrt(), scale)).div(noise).add(params.shift);
      },
      flow: {
        init: () => ({ shift: { shape: [1], data: new Float32Array(1) } }),
        predict(params, x, { alphaBar }) {
          // log F_i up to the constant of log F_T, less βr(x̂_#)
          const variance = alphaBar.neg().add(1).mul(width);
          const square = x.sub(point(alphaBar.sqrt(), 1)).square().sum([1]);
          const logFlow = square.div(variance).mul(-0.5).sub(variance.mul(beta).log());
          const offCenter = x.mul(column(alphaBar.sqrt())).sub(constant(Float32Array.from(center), [1, 2]));
          const f = logFlow.sub(
            offCenter
              .square()
              .sum([1])
              .mul(-beta / 2),
          );
          return column(f).add(x.mul(0)).add(params.shift!);
        },
      },
    },
  });
  const transitions = drawnTransitions(world).map((transition) => ({
    ...transition,
    // near the point at the end, where 1/(1 − ᾱ_T) = 10⁴ multiplies the rounding of float32 constants
    xNext: transition.i === chain.T - 1 ? center.map((v) => v + 0.01) : transition.xNext,
  }));
  const more = { reward: transitions.map(({ xNext }) => logReward(xNext)) };
  const lossOf = (scale: number, width: number) => {
    const { losses, value } = trace(parts(scale, width), transitions, { more });
    expect(value(losses.flow!.balance!)).toBe(value(losses.policy!.balance!));
    return value(losses.policy!.balance!);
  };
  expect(lossOf(1, 1)).toBeLessThan(1e-6);
  expect(lossOf(1.1, 1)).toBeGreaterThan(1e-2);
  expect(lossOf(1, 1.2)).toBeGreaterThan(1e-2);
});

test("both networks are trained, by one loss", async () => {
  const small = tiny(await partsOf(plane));
  const transitions = drawnTransitions(small);
  const more = { reward: transitions.map((_, b) => 0.25 * b) };
  const traced = trace(withObjective(small, dagDb({ beta: 2 })), transitions, { ...movedParams(small), more });
  for (const network of ["policy", "flow"] as const) {
    const slope = traced.slope(traced.losses[network]!.balance!, network);
    expect(Math.max(...slope.map(Math.abs))).toBeGreaterThan(1e-3);
  }
});

test("the proximal part acts from the second update of a rollout on, and is refused where it cannot", async () => {
  const set = ["train.updates=2", "train.updatesPerRollout=2"];
  const { steps } = await train(configOf(own(plane, { proximal: 10 }), ...set));
  expect(steps[0]!.losses["policy.proximal"]).toBeLessThan(1e-10);
  expect(steps[1]!.losses["policy.proximal"]).toBeGreaterThan(1e-8);
  expect(() => configOf(own(plane, { proximal: 10 }))).toThrow(/updatesPerRollout/);
});

test("refuses a reward on the host, told what would do, and a chain that remembers its start", async () => {
  const host = { kind: "on-the-host", options: {}, load: async () => ({ kind: "on-the-host", differentiable: false }) };
  const refused = prepare({ ...configOf(own(plane)), reward: host as never });
  await expect(refused).rejects.toThrow(hostRewardRefused("dag-db", "on-the-host", "reward").message);
  const config = configOf(own(plane), "sampler.kind=ddim", "sampler.eta=0.5");
  await expect(prepare(config)).rejects.toThrow(/dag-db.*forgets its start/s);
});

test.each(["dag-db", "dag-kl"])(
  "%s with attenuation zero: a reward on the host trains, at half the evaluations",
  async (kind) => {
    const file = (options: object) => ({ ...plane, objective: { kind, ...options } });
    const config = configOf(file({ attenuation: "zero" }), "train.updates=2", "train.updatesPerRollout=2");
    const { steps } = await train(config, { parts: { ...(await prepare(config)), reward: onHost } });
    expect(steps[1]!.gradientNorm.policy).toBeGreaterThan(0);
    expect(steps[1]!.gradientNorm.flow).toBeGreaterThan(0);
    const of = async (options: object) => (await partsOf(file(options))).objective;
    const shape = { T: 6, transitions: 6 };
    expect((await of({ attenuation: "zero" })).evaluations(shape).perUpdate).toBe(12);
    expect((await of({})).evaluations(shape).perUpdate).toBe(23);
  },
);
