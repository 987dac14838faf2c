import { ConfigError } from "../core/errors.ts";
import { diffusionLevel, type Level } from "./level.ts";
import { alphasCumprod, type NoiseSchedule } from "./schedule.ts";

/** Which train times a sampler of T steps visits. All end at train time 0, never at a state without noise. */
export const grids = ["leading", "trailing", "linspace", "karras", "log-snr"] as const;
export type Grid = (typeof grids)[number];

/**
 * The T + 1 levels of a chain in sampling order, i = 0 noise … T clean.
 * - `leading`: train times (T−1−i)·⌊N/T⌋ + 1, then 0 (diffusers' "leading" with offset 1);
 * - `trailing`: train times N − i·N/T − 1, rounded half to even, then 0 (diffusers' "trailing");
 * - `linspace`: T + 1 train times equally spaced from N−1 to 0, rounded half to even (diffusers' default for DPM-Solver);
 * - `karras`: noise-to-signal ratios equally spaced in their 7th root [karras2022edm], from train time N−1 to 0. Train
 *   times are fractional. diffusers spaces T values and appends the last one again, which gives a step without length;
 * - `log-snr`: the same with their logarithms equally spaced [lu2022dpmsolver].
 *
 * Throws ConfigError when there are more steps than the train times allow.
 */
export function gridLevels(grid: Grid, steps: number, schedule: NoiseSchedule): Level[] {
  const alphaBar = alphasCumprod(schedule);
  const levels =
    grid === "karras" || grid === "log-snr"
      ? byRatio(steps, alphaBar, spacings[grid])
      : times(grid, steps, alphaBar.length).map((t) => levelAt(t, alphaBar));
  checkLevels(levels);
  return levels;
}

/**
 * Throws ConfigError unless there are two levels or more, 0 < ᾱ < 1 and ᾱ strictly increases. A last level of ᾱ = 1
 * makes the last kernel deterministic: it has no score, so no method that needs one can train it.
 */
export function checkLevels(levels: readonly Level[]): void {
  if (levels.length < 2) {
    throw new ConfigError(
      `A chain needs at least 1 step, but ${levels.length - 1} came. Set sampler.steps to 1 or more.`,
    );
  }
  levels.forEach(({ t, alphaBar }, i) => {
    if (!(alphaBar < 1)) {
      throw new ConfigError(
        `Every level of a time grid needs noise (alphaBar < 1), or the step before it has std 0 and no score; level ${i} (t = ${t}) has alphaBar ${alphaBar}. End at train time 0 of a schedule with betaStart > 0, as the grids ${grids.join(", ")} do.`,
      );
    }
    if (!(alphaBar > 0)) {
      throw new ConfigError(
        `Every level of a time grid needs signal (alphaBar > 0); level ${i} (t = ${t}) has alphaBar ${alphaBar}. Start at a train time before the signal is gone.`,
      );
    }
    if (i > 0 && !(alphaBar > levels[i - 1]!.alphaBar)) {
      throw new ConfigError(
        `alphaBar must increase from level to level, but levels ${i - 1} and ${i} have ${levels[i - 1]!.alphaBar} and ${alphaBar} (t = ${levels[i - 1]!.t} and ${t}). Use fewer sampler.steps.`,
      );
    }
  });
}

/** Train time of state i < T, for T steps on N train times. */
const timeOf = {
  leading: (i: number, T: number, N: number) => (T - 1 - i) * Math.floor(N / T) + 1,
  trailing: (i: number, T: number, N: number) => roundHalfEven(N - (i * N) / T) - 1,
  linspace: (i: number, T: number, N: number) => roundHalfEven(((N - 1) * (T - i)) / T),
};

function times(grid: keyof typeof timeOf, steps: number, trainSteps: number): number[] {
  const visited = Array.from({ length: steps }, (_, i) => timeOf[grid](i, steps, trainSteps));
  if (visited.some((t) => t < 1 || t >= trainSteps)) {
    throw new ConfigError(
      `The ${grid} grid visits ${steps} different train times from 1 to ${trainSteps - 1}, which ${steps} steps do not fit. Use fewer sampler.steps.`,
    );
  }
  return [...visited, 0];
}

const levelAt = (t: number, alphaBar: Float64Array): Level => diffusionLevel(t, alphaBar[t]!);

/** As NumPy rounds, so that train times agree with diffusers when N/T is not whole. */
function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}

const RHO = 7;

/** Functions of the noise-to-signal ratio that are equally spaced, with their inverses. */
const spacings = {
  karras: { of: (ratio: number) => ratio ** (1 / RHO), inverse: (y: number) => y ** RHO },
  "log-snr": { of: Math.log, inverse: Math.exp },
};

function byRatio(steps: number, alphaBar: Float64Array, { of, inverse }: (typeof spacings)["karras"]): Level[] {
  const ratios = alphaBar.map((power) => Math.sqrt((1 - power) / power)); // increases with t
  const from = of(ratios[ratios.length - 1]!);
  const to = of(ratios[0]!);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const ratio = inverse(from + ((to - from) * i) / steps);
    return diffusionLevel(timeOfRatio(ratio, ratios), 1 / (1 + ratio * ratio));
  });
}

/** Train time of a noise-to-signal ratio, linear in its logarithm between train times. */
function timeOfRatio(ratio: number, ratios: Float64Array): number {
  const last = ratios.length - 1;
  if (ratio >= ratios[last]!) return last;
  const above = ratios.findIndex((other) => other > ratio);
  if (above <= 0) return 0;
  const below = Math.log(ratios[above - 1]!);
  return above - 1 + (Math.log(ratio) - below) / (Math.log(ratios[above]!) - below);
}
