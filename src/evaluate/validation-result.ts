import { enoughEss } from "../core/importance.ts";
import type { Aim } from "../objectives/index.ts";
import { type ExactReference, type ExactSummary, reachesTarget, type TiltedMeasures, tiltedEss } from "../run/index.ts";

export const exactMeasures = ["meanReward", "modeTV", "energyDistance", "withinStdRatio"] as const;
export type ExactMeasure = (typeof exactMeasures)[number];

/** Over seeds; `std` with n − 1, absent for a single seed. */
export interface Spread {
  readonly mean: number;
  readonly std?: number;
}

/** What became of the run of one seed: its measures, or why it stopped at a number that is not finite. */
export type Outcome = { readonly seed: number } & ({ readonly exact: ExactSummary } | { readonly diverged: string });

/** A method that was run. */
export interface MethodResult extends MethodMeasures {
  readonly updates: number;
  /** Of the denoiser, in one run. */
  readonly evaluations: number;
}

/** What the runs of a method came to. */
export interface MethodMeasures {
  readonly method: string;
  readonly aim: Aim;
  readonly finished: readonly number[];
  readonly diverged: readonly { readonly seed: number; readonly reason: string }[];
  /** Of the seeds that reached the end; absent when none did. */
  readonly measures?: Readonly<Record<ExactMeasure, Spread>>;
  /** Of the method's paths; only of chains with noise in every step. */
  readonly elbo?: Spread;
  /** Share of effective samples when the method's own samples are weighted to the tilted sampler; only of chains with noise in every step. */
  readonly importanceEss?: Spread;
  /** Where the energy distance of one seed lies, with 95 %: its mean over seeds ± 1.96 bootstrap standard errors. */
  readonly interval?: readonly [low: number, high: number];
  /** Whether that mean reaches the target, by `reachesTarget`. */
  readonly reached?: boolean;
  /** The bound for that lies inside the interval, so that other samples might have said otherwise. */
  readonly withinError?: boolean;
  /** Beside exp(β r) of methods that aim at it, where that law is known: E[r] of the law, and the distance to it. */
  readonly rewardAlone?: { readonly meanReward: number; readonly energyDistance: Spread };
}

/** A method that does not fit the world, with the reason. */
export interface RefusedMethod {
  readonly method: string;
  readonly refused: string;
}

/** What all runs of a world are compared with. */
export interface WorldReferences {
  readonly pretrained: ExactReference;
  readonly target: ExactReference;
  /** The tilted sampler. `ess` is the least over prompts; collapsed: below `leastEss`, so that its measures say nothing. */
  readonly tilted: TiltedMeasures & { readonly collapsed: boolean };
}

export interface WorldResult {
  readonly world: string;
  /** Of each run, where neither the method nor a budget says otherwise. */
  readonly updates: number;
  /** The budget of each run, where one was given. */
  readonly evaluations?: number;
  readonly beta: number;
  /** Exponent of the prior in the target; absent: 1. */
  readonly priorStrength?: number;
  readonly seeds: readonly number[];
  /** Absent when no run reached the end. */
  readonly references?: WorldReferences;
  readonly methods: readonly (MethodResult | RefusedMethod)[];
}

export function methodResult(
  { method, aim }: Pick<MethodResult, "method" | "aim">,
  outcomes: readonly Outcome[],
  references: WorldReferences | undefined,
): MethodMeasures {
  const finished = outcomes.filter((outcome) => "exact" in outcome);
  const over = (measure: ExactMeasure) => spread(finished.map(({ exact }) => exact[measure]));
  const { mean } = over("energyDistance");
  const errors = finished.map(({ exact }) => exact.energyDistanceError ?? Number.NaN);
  const error = Math.sqrt(spread(errors.map((e) => e ** 2)).mean);
  const path = (measure: "elbo" | "importanceEss") => {
    const values = finished.flatMap(({ exact }) => exact[measure] ?? []);
    return values.length > 0 ? { [measure]: spread(values) } : {};
  };
  const tilted = references?.tilted.collapsed === false ? references.tilted.energyDistance : undefined;
  const interval = [mean - 1.96 * error, mean + 1.96 * error] as const;
  const alone = finished.flatMap(({ exact }) => exact.rewardAlone ?? []);
  return {
    method,
    aim,
    finished: finished.map(({ seed }) => seed),
    diverged: outcomes.flatMap((o) => ("diverged" in o ? [{ seed: o.seed, reason: o.diverged }] : [])),
    ...(finished.length > 0 && {
      measures: {
        meanReward: over("meanReward"),
        modeTV: over("modeTV"),
        energyDistance: over("energyDistance"),
        withinStdRatio: over("withinStdRatio"),
      },
      interval,
      ...path("elbo"),
      ...path("importanceEss"),
      reached: reachesTarget(mean, tilted),
      withinError: reachesTarget(interval[0], tilted) !== reachesTarget(interval[1], tilted),
      ...(alone.length > 0 && {
        rewardAlone: {
          meanReward: alone[0]!.meanReward,
          energyDistance: spread(alone.map(({ energyDistance }) => energyDistance)),
        },
      }),
    }),
  };
}

/** The references of any run of a world: all runs measure them with the same noise. */
export function worldReferences(exact: ExactSummary): WorldReferences {
  const { pretrained, target, floor } = exact;
  const ess = tiltedEss(exact);
  return { pretrained, target, tilted: { ...floor, ess, collapsed: !enoughEss(ess) } };
}

function spread(values: readonly number[]): Spread {
  const mean = values.reduce((p, q) => p + q, 0) / values.length;
  if (values.length < 2) return { mean };
  return { mean, std: Math.sqrt(values.reduce((p, q) => p + (q - mean) ** 2, 0) / (values.length - 1)) };
}
