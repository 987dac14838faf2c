import { describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import {
  alphasCumprod,
  type Chain,
  checkLevels,
  conversion,
  diffusionLevel,
  flowLevel,
  gridLevels,
  grids,
  type Level,
  type NoiseSchedule,
  type Prediction,
  type SamplerKind,
  samplers,
} from "../src/diffusion/index.ts";

const toy: NoiseSchedule = { trainSteps: 1000, betaSchedule: "linear", betaStart: 1e-4, betaEnd: 0.02 };
const sd: NoiseSchedule = { trainSteps: 1000, betaSchedule: "scaled_linear", betaStart: 0.00085, betaEnd: 0.012 };
const cosine: NoiseSchedule = { ...toy, betaSchedule: "squaredcos_cap_v2" };
const schedules = { toy, sd, cosine };

describe("schedules", () => {
  test.each(Object.entries(schedules))("%s: alphaBar falls strictly and stays inside (0, 1)", (_, schedule) => {
    const alphaBar = alphasCumprod(schedule);
    expect(alphaBar.length).toBe(1000);
    expect(alphaBar.every((power, t) => power > 0 && power < 1 && (t === 0 || power < alphaBar[t - 1]!))).toBe(true);
  });

  test("Stable Diffusion's schedule has the published end points", () => {
    const alphaBar = alphasCumprod(sd);
    expect(alphaBar[0]).toBeCloseTo(0.99915, 6);
    expect(alphaBar[999]).toBeCloseTo(0.00466, 5);
  });

  test("the cosine schedule telescopes to cos² until beta is capped", () => {
    const power = (u: number) => Math.cos((((u + 0.008) / 1.008) * Math.PI) / 2) ** 2;
    expect(alphasCumprod(cosine)[499]).toBeCloseTo(power(0.5) / power(0), 12);
  });
});

describe("time grids", () => {
  test("leading with offset 1: 951, 901, …, 1, 0", () => {
    const times = gridLevels("leading", 20, toy).map(({ t }) => t);
    expect(times).toEqual([...Array.from({ length: 20 }, (_, i) => 951 - 50 * i), 0]);
  });

  test("trailing: 999, 949, …, 49, 0; halves round to even as in NumPy", () => {
    expect(gridLevels("trailing", 20, toy).map(({ t }) => t)).toEqual([
      ...Array.from({ length: 20 }, (_, i) => 999 - 50 * i),
      0,
    ]);
    // 1000, 937.5, 875, 812.5, …: rounded half to even, less 1
    expect(
      gridLevels("trailing", 16, toy)
        .map(({ t }) => t)
        .slice(0, 4),
    ).toEqual([999, 937, 874, 811]);
  });

  test("linspace: 999, 949, …, 50, 0, as diffusers' DPMSolverMultistepScheduler has them", () => {
    expect(gridLevels("linspace", 20, sd).map(({ t }) => t)).toEqual([
      ...[999, 949, 899, 849, 799, 749, 699, 649, 599, 549, 500, 450, 400, 350, 300, 250, 200, 150, 100, 50],
      0,
    ]);
    expect(gridLevels("linspace", 7, sd).map(({ t }) => t)).toEqual([999, 856, 714, 571, 428, 285, 143, 0]);
    // its last noise-to-signal ratio with final_sigmas_type sigma_min, float32
    const { alphaBar, noise } = gridLevels("linspace", 20, sd)[20]!;
    expect(noise / Math.sqrt(alphaBar)).toBeCloseTo(0.02916753, 6);
  });

  test("log-snr: the signal-to-noise ratio grows by one factor, as the scheduler's use_lu_lambdas with 10 values", () => {
    const ratios = gridLevels("log-snr", 9, sd).map(({ alphaBar, noise }) => noise / Math.sqrt(alphaBar));
    for (let i = 1; i <= 9; i++) expect(ratios[i]! / ratios[i - 1]!).toBeCloseTo(ratios[1]! / ratios[0]!, 10);
    // the scheduler counts in float32
    const scheduler = [
      14.614647, 7.324883, 3.671243, 1.84003, 0.922227, 0.462222, 0.231666, 0.116111, 0.058195, 0.029168,
    ];
    for (const [i, sigma] of scheduler.entries()) expect(Math.abs(ratios[i]! / sigma - 1)).toBeLessThan(5e-5);
  });

  test("karras: 7th roots of the noise-to-signal ratio are equally spaced from train time 999 to 0", () => {
    const levels = gridLevels("karras", 10, sd);
    const roots = levels.map(({ alphaBar }) => Math.sqrt((1 - alphaBar) / alphaBar) ** (1 / 7));
    for (let i = 1; i <= 10; i++) expect(roots[i - 1]! - roots[i]!).toBeCloseTo((roots[0]! - roots[10]!) / 10, 10);
    expect(levels[0]!.t).toBe(999);
    expect(levels[10]!.t).toBeCloseTo(0, 6);
    expect(levels.every(({ t }, i) => i === 0 || t < levels[i - 1]!.t)).toBe(true);
  });

  test.each(grids.flatMap((grid) => Object.entries(schedules).map(([name, s]) => [grid, name, s] as const)))(
    "%s on %s: 0 < alphaBar < 1, increasing, and noise at the end",
    (grid, _, schedule) => {
      for (const steps of [1, 2, 7, 20, 50, 250]) {
        const levels = gridLevels(grid, steps, schedule);
        expect(levels.length).toBe(steps + 1);
        expect(() => checkLevels(levels)).not.toThrow();
        expect(levels[steps]!.alphaBar).toBeCloseTo(alphasCumprod(schedule)[0]!, 10);
      }
    },
  );

  test("a last level without noise is refused with the way out", () => {
    const end = (alphaBar: number) => [diffusionLevel(500, 0.3), diffusionLevel(0, alphaBar)];
    expect(() => checkLevels(end(1))).toThrow(ConfigError);
    expect(() => checkLevels(end(1))).toThrow(/std 0 and no score.*End at train time 0/);
    expect(() => checkLevels(end(0.2))).toThrow(/must increase/);
    expect(() => checkLevels([diffusionLevel(999, 0), ...end(0.9)])).toThrow(/needs signal/);
    expect(() => gridLevels("leading", 20, { ...toy, betaStart: 0 })).toThrow(/End at train time 0/);
  });

  test("more steps than train times are refused", () => {
    for (const grid of ["leading", "trailing"] as const) {
      expect(() => gridLevels(grid, 1000, toy)).toThrow(/fewer sampler.steps/);
      expect(() => gridLevels(grid, 2500, toy)).toThrow(ConfigError);
    }
  });
});

/** The output a network of this kind has to give when the clean sample is x0 and the noise z. */
function perfectOutput(prediction: Prediction, { alphaBar, noise }: Level, x0: number, z: number): number {
  switch (prediction) {
    case "epsilon":
      return z;
    case "sample":
      return x0;
    case "v_prediction":
      return Math.sqrt(alphaBar) * z - noise * x0;
    case "velocity":
      return z - x0;
  }
}

describe("prediction types", () => {
  const cases: [Prediction, Level][] = [
    ["epsilon", diffusionLevel(300, 0.37)],
    ["sample", diffusionLevel(300, 0.37)],
    ["v_prediction", diffusionLevel(300, 0.37)],
    ["velocity", flowLevel(0.6)],
    ["velocity", flowLevel(1)],
    ["sample", flowLevel(1)],
  ];
  test.each(cases)("a perfect %s gives back the clean sample and the noise", (prediction, level) => {
    const [x0, z] = [1.3, -0.7];
    const x = Math.sqrt(level.alphaBar) * x0 + level.noise * z;
    const out = perfectOutput(prediction, level, x0, z);
    const { x0Hat, eps } = conversion(prediction, level);
    expect(x0Hat.x * x + x0Hat.out * out).toBeCloseTo(x0, 12);
    expect(eps.x * x + eps.out * out).toBeCloseTo(z, 12);
  });

  test("the score from velocity is -(x + (1-t) v)/t", () => {
    const [t, x, v] = [0.6, 0.4, -1.1];
    const { eps } = conversion("velocity", flowLevel(t));
    expect(-(eps.x * x + eps.out * v) / t).toBeCloseTo(-(x + (1 - t) * v) / t, 14);
  });
});

test.each([0, 0.1, 0.5, 0.9, 1])(
  "at t = %d a flow has the share of the diffusion with its signal-to-noise ratio",
  (t) => {
    const { alphaBar, noise, share } = flowLevel(t);
    const diffusion = diffusionLevel(500, 1 / (1 + noise ** 2 / alphaBar));
    expect(share).toBeCloseTo(diffusion.share, 14);
    expect(diffusion.share ** 2).toBeCloseTo(diffusion.alphaBar, 14);
  },
);

const chains: [string, Chain][] = [
  ["ddpm", samplers.ddpm({ steps: 20 }).chain({ scheduler: sd, prediction: "epsilon" })],
  ["ddpm karras v", samplers.ddpm({ steps: 20, grid: "karras" }).chain({ scheduler: sd, prediction: "v_prediction" })],
  ["ddim .5 sample", samplers.ddim({ steps: 20, eta: 0.5 }).chain({ scheduler: toy, prediction: "sample" })],
  ["flow", samplers.flow({ steps: 20 }).chain({ scheduler: toy, prediction: "velocity" })],
  ["sde-dpm-solver++", samplers.sdeDpmSolver({ steps: 20 }).chain({ scheduler: sd, prediction: "epsilon" })],
  [
    "flow memoryless-euler",
    samplers.flow({ steps: 20, noise: "memoryless-euler" }).chain({ scheduler: toy, prediction: "velocity" }),
  ],
  [
    "flow constant",
    samplers.flow({ steps: 20, noise: { constant: 0.3 } }).chain({ scheduler: toy, prediction: "velocity" }),
  ],
  ["flow ode", samplers.flow({ steps: 20, noise: 0 }).chain({ scheduler: toy, prediction: "velocity" })],
  ["flow .7", samplers.flow({ steps: 20, noise: 0.7 }).chain({ scheduler: toy, prediction: "velocity" })],
];

describe("chains", () => {
  test.each(chains)(
    "%s: every step recovers the clean sample and the noise from a perfect output",
    (_, { steps, prediction }) => {
      for (const step of steps) {
        const [x0, z] = [0.8, 0.3];
        const x = Math.sqrt(step.alphaBar) * x0 + step.noise * z;
        const out = perfectOutput(prediction, step, x0, z);
        expect(step.c1 * x + step.c2 * out).toBeCloseTo(x0, 10);
        expect(step.e1 * x + step.e2 * out).toBeCloseTo(z, 10);
      }
    },
  );

  test("DDPM = first-order SDE-DPM-Solver++ on the same levels", () => {
    for (const grid of grids) {
      const own = { scheduler: sd, prediction: "epsilon" } as const;
      const { steps, levels } = samplers.ddpm({ steps: 20, grid }).chain(own);
      expect(samplers.sdeDpmSolver({ steps: 20, grid }).chain(own).steps).toEqual(steps);
      for (const step of steps) {
        const next = levels[step.i + 1]!;
        const logSnr = ({ alphaBar }: Level) => Math.log(Math.sqrt(alphaBar) / Math.sqrt(1 - alphaBar));
        const h = logSnr(next) - logSnr(step);
        // mean = (σ'/σ) e^{−h} x + α'(1−e^{−2h}) x0Hat,  std = σ' √(1−e^{−2h})
        const [x, out] = [0.9, -0.4];
        const x0Hat = (x - step.noise * out) / Math.sqrt(step.alphaBar);
        const mean =
          (next.noise / step.noise) * Math.exp(-h) * x + Math.sqrt(next.alphaBar) * (1 - Math.exp(-2 * h)) * x0Hat;
        expect(Math.abs(step.d1 * x + step.d2 * out - mean)).toBeLessThan(1e-10);
        expect(Math.abs(step.sigma - next.noise * Math.sqrt(1 - Math.exp(-2 * h)))).toBeLessThan(1e-10);
      }
    }
  });

  test("DDPM's kernel is the posterior of the noising chain: mean (x − s²/√(1−ᾱ) ε)/a", () => {
    const { steps, levels } = samplers.ddpm({ steps: 20 }).chain({ scheduler: toy, prediction: "epsilon" });
    for (const { i, a, s, d1, d2, noise, sigma } of steps) {
      expect(s).toBeCloseTo(Math.sqrt(1 - a * a), 12);
      expect(Math.abs(d1 - 1 / a)).toBeLessThan(1e-10);
      expect(Math.abs(d2 + (s * s) / (a * noise))).toBeLessThan(1e-10);
      expect(sigma).toBeCloseTo((s * levels[i + 1]!.noise) / noise, 12);
    }
  });

  test("on N(0, 1) data, where ε = √(1−ᾱ) x, DDPM's mean is the noising kernel's a·x", () => {
    const { steps } = samplers.ddpm({ steps: 20 }).chain({ scheduler: toy, prediction: "epsilon" });
    for (const { a, d1, d2, noise } of steps) expect(d1 + d2 * noise).toBeCloseTo(a, 12);
  });

  test.each(Object.values(samplers) as SamplerKind[])(
    "$kind: default options give a finite chain of 50 steps",
    (kind) => {
      const prediction = kind.kind === "flow" ? "velocity" : "epsilon";
      const { T, steps } = kind({}).chain({ scheduler: toy, prediction });
      expect(T).toBe(50);
      for (const { c1, c2, d1, d2, sigma, a, s } of steps) {
        expect([c1, c2, d1, d2, sigma, a, s].every(Number.isFinite)).toBe(true);
      }
      expect(() => kind({ steps: 0 })).toThrow();
    },
  );

  test("with a perfect denoiser of one clean sample every level has its own noise, for every eta", () => {
    for (const eta of [0, 0.3, 1]) {
      const { steps, levels } = samplers.ddim({ steps: 20, eta }).chain({ scheduler: toy, prediction: "sample" });
      const x0 = 1.7;
      let mean = Math.sqrt(steps[0]!.alphaBar) * x0;
      let variance = steps[0]!.noise ** 2;
      for (const { i, d1, d2, sigma } of steps) {
        mean = d1 * mean + d2 * x0;
        variance = d1 * d1 * variance + sigma * sigma;
        expect(mean).toBeCloseTo(Math.sqrt(levels[i + 1]!.alphaBar) * x0, 10);
        expect(variance).toBeCloseTo(levels[i + 1]!.noise ** 2, 10);
      }
    }
  });

  test("eta = 0 has std 0, and only eta = 1 with ᾱ_0 ≈ 0 is memoryless", () => {
    const of = (eta: number) => samplers.ddim({ steps: 20, eta }).chain({ scheduler: sd, prediction: "epsilon" });
    expect(of(0).steps.every(({ sigma }) => sigma === 0)).toBe(true);
    expect([of(0).stochastic, of(0.5).stochastic, of(1).stochastic]).toEqual([false, true, true]);
    expect([of(0).memoryless, of(0.5).memoryless, of(1).memoryless]).toEqual([false, false, true]);
    for (const eta of [0, 0.5, 1]) expect(samplers.ddim({ eta }).stochastic).toBe(of(eta).stochastic);
    const short = { ...toy, trainSteps: 300 }; // ᾱ of its last train time is above 0.02
    expect(samplers.ddpm({ steps: 20 }).chain({ scheduler: short, prediction: "epsilon" }).memoryless).toBe(false);
    const forgetful = ["ddpm", "ddpm karras v", "flow", "sde-dpm-solver++", "flow memoryless-euler"];
    expect(chains.filter(([, { memoryless }]) => memoryless).map(([name]) => name)).toEqual(forgetful);
  });

  test.each(chains)("%s: progress runs from 0 to 1", (_, { T, levels, steps }) => {
    expect(levels.map(({ progress }) => progress)).toEqual(Array.from({ length: T + 1 }, (_, i) => i / T));
    expect(steps.length).toBe(T);
  });

  test("a network that predicts the wrong thing and unknown options are refused", () => {
    expect(() => samplers.ddpm().chain({ scheduler: toy, prediction: "velocity" })).toThrow(/Use flow/);
    for (const prediction of ["epsilon", "v_prediction", "sample"] as const) {
      expect(() => samplers.flow().chain({ scheduler: toy, prediction })).toThrow(/Use ddpm or ddim/);
    }
    // @ts-expect-error: an option that does not exist
    expect(() => samplers.ddpm({ setps: 3 })).toThrow(/setps/);
    // @ts-expect-error: ddpm has no eta
    expect(() => samplers.ddpm({ eta: 0.5 })).toThrow(/eta/);
  });
});

/** Exact mean, standard deviation and correlation with x_0 of every level from 1 on, on data N(m, s²). */
function moments({ steps, levels }: Chain, m: number, s: number) {
  let [mean, variance, covariance] = [0, 1, 1];
  return steps.map((step) => {
    const { alphaBar, noise, c1, c2, d1, d2, sigma, i } = step;
    const signal = Math.sqrt(alphaBar);
    // the exact clean prediction E[x0 | x] = m + slope (x − signal m) fixes the output of any network: x0Hat = c1 x + c2 out
    const slope = (signal * s * s) / (alphaBar * s * s + noise * noise);
    const gain = d1 + (d2 * (slope - c1)) / c2;
    mean = gain * mean + (d2 / c2) * m * (1 - slope * signal);
    variance = gain * gain * variance + sigma * sigma;
    covariance *= gain;
    const next = levels[i + 1]!;
    return {
      mean: mean - Math.sqrt(next.alphaBar) * m,
      std: Math.sqrt(variance),
      marginal: Math.sqrt(next.alphaBar * s * s + next.noise ** 2),
      correlation: covariance / Math.sqrt(variance),
    };
  });
}
const last = <T>(values: readonly T[]): T => values[values.length - 1]!;
/** The largest relative error of a state's std, without the last `but` states. */
const worst = (states: ReturnType<typeof moments>, but = 0) =>
  Math.max(...states.slice(0, states.length - but).map(({ std, marginal }) => Math.abs(std / marginal - 1)));

describe("diffusion chains on Gaussian data N(1.5, 0.3²) with the exact prediction: std against marginal", () => {
  const of = (kind: SamplerKind, options: object, prediction: Prediction = "epsilon") =>
    moments(kind(options).chain({ scheduler: toy, prediction }), 1.5, 0.3);

  test.each(Object.values(samplers).filter(({ kind }) => kind !== "flow") as SamplerKind[])(
    "$kind: every step's std is near its marginal, ever nearer with more steps",
    (kind) => {
      const errors = [20, 50, 250].map((steps) => worst(of(kind, { steps })));
      expect(errors[0]).toBeLessThan(0.3); // the last two states of 20, as the posterior kernel leaves out Var[x0 | x]
      expect(errors[1]).toBeLessThan(0.6 * errors[0]!);
      expect(errors[2]).toBeLessThan(0.4 * errors[1]!);
    },
  );

  test("epsilon, sample and v_prediction are the same chain", () => {
    const wanted = of(samplers.ddpm, { steps: 20 });
    for (const prediction of ["sample", "v_prediction"] as const) {
      of(samplers.ddpm, { steps: 20 }, prediction).forEach(({ std, mean }, i) => {
        expect(Math.abs(std - wanted[i]!.std)).toBeLessThan(1e-10);
        expect(Math.abs(mean - wanted[i]!.mean)).toBeLessThan(1e-10);
      });
    }
  });
});

describe("flow chains on Gaussian data N(1.5, 0.3²) with the exact velocity", () => {
  type Noise = NonNullable<Parameters<typeof samplers.flow>[0]>["noise"];
  const of = (noise: Noise, steps: number) =>
    moments(samplers.flow({ steps, noise }).chain({ scheduler: toy, prediction: "velocity" }), 1.5, 0.3);

  test("memoryless: every step's std is near its marginal, ever nearer with more steps, and the start is forgotten", () => {
    expect(worst(of("memoryless", 20), 2)).toBeLessThan(0.04); // the last two steps of 20 end 6 and 9 % too narrow
    expect([20, 50, 100].map((steps, k) => worst(of("memoryless", steps)) < [0.09, 0.04, 0.02][k]!)).not.toContain(
      false,
    );
    expect(Math.abs(last(of("memoryless", 20)).correlation)).toBeLessThan(1e-3);
  });

  // values of an independent prototype
  test.each([
    [20, 0.274],
    [50, 0.289],
    [100, 0.294],
  ])("memoryless with %i steps ends with std %f", (steps, std) => {
    expect(last(of("memoryless", steps)).std).toBeCloseTo(std, 3);
  });

  test("memoryless-euler forgets its start and ends well, but its first state is too wide at any number of steps", () => {
    const states = of("memoryless-euler", 20);
    expect(last(states).std).toBeCloseTo(0.301, 2);
    expect(Math.abs(last(states).correlation)).toBeLessThan(0.01);
    for (const steps of [20, 100]) {
      const [first] = of("memoryless-euler", steps);
      expect(first!.std / first!.marginal).toBeGreaterThan(1.35);
    }
  });

  test("Flow-GRPO's noise of 0.7 ends near the data but remembers the start", () => {
    for (const steps of [20, 100]) expect(worst(of(0.7, steps))).toBeLessThan(0.08); // its first state stays 5 % too wide
    const end = last(of(0.7, 20));
    expect(end.std).toBeCloseTo(0.291, 2);
    expect(end.correlation).toBeGreaterThan(0.1);
  });

  test.each<[string, Noise]>([
    ["a constant of 0.3", { constant: 0.3 }],
    ["none", 0],
  ])("with noise %s every std nears its marginal with more steps", (_, noise) => {
    const errors = [20, 100, 500].map((steps) => worst(of(noise, steps)));
    expect(errors[1]).toBeLessThan(0.35 * errors[0]!);
    expect(errors[2]).toBeLessThan(0.3 * errors[1]!);
  });

  test("without noise it is Euler's step of the ODE: x − v Δ, which has no score", () => {
    const { steps, stochastic } = samplers
      .flow({ steps: 10, noise: 0 })
      .chain({ scheduler: toy, prediction: "velocity" });
    for (const { d1, d2, sigma } of steps) {
      expect(d1).toBeCloseTo(1, 12);
      expect(d2).toBeCloseTo(-0.1, 12);
      expect(sigma).toBe(0);
    }
    expect(stochastic).toBe(false);
    expect(samplers.flow({ noise: 0 }).stochastic).toBe(false);
    expect(last(of(0, 20)).std).toBeCloseTo(0.272, 3);
    expect(last(of(0, 20)).correlation).toBeCloseTo(1, 12);
  });

  test("a constant g makes σ = g √Δ in every step", () => {
    const chain = samplers
      .flow({ steps: 16, noise: { constant: 0.3 } })
      .chain({ scheduler: toy, prediction: "velocity" });
    for (const { sigma } of chain.steps) expect(sigma).toBeCloseTo(0.3 * 0.25, 12);
  });
});
