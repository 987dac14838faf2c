import type { Kernel } from "./kernel.ts";
import type { Level } from "./level.ts";
import { conversion, type Prediction } from "./prediction.ts";

/** A level of a chain and its position i/T: 0 = noise, 1 = clean. */
export interface ChainLevel extends Level {
  readonly i: number;
  readonly progress: number;
}

/** Step i of a chain, from level i to level i + 1. `out` is the raw network output at level i, after guidance. */
export interface Step extends ChainLevel {
  /** x0Hat = c1·x + c2·out */
  readonly c1: number;
  readonly c2: number;
  /** eps = e1·x + e2·out */
  readonly e1: number;
  readonly e2: number;
  /** Mean of xNext = d1·x + d2·out; its std is `sigma`. */
  readonly d1: number;
  readonly d2: number;
  readonly sigma: number;
  /** The noising kernel P_B(x | xNext) = N(a·xNext, s² I): a = √(ᾱ/ᾱ'), s² = noise² − a² noise'² (diffusion: 1 − a²). */
  readonly a: number;
  readonly s: number;
}

/** A sampler of T steps as a Markov chain x_0 → … → x_T, x_0 ~ N(0, I). */
export interface Chain {
  readonly T: number;
  readonly prediction: Prediction;
  /** The T steps, i = 0 … T−1. */
  readonly steps: readonly Step[];
  /** The T + 1 levels, i = 0 … T. */
  readonly levels: readonly ChainLevel[];
  /** Every step has noise, so that log-probabilities and scores exist. */
  readonly stochastic: boolean;
  /** x_T does not depend on x_0: only then does a tilted chain started from N(0, I) reach the tilted law. */
  readonly memoryless: boolean;
}

/** ᾱ_0 from which on x_0 carries too much of the image for a chain to count as memoryless. */
const MEMORYLESS_ALPHA_BAR = 0.02;

export interface ChainOptions {
  /** T + 1 levels in sampling order, ᾱ increasing. */
  readonly levels: readonly Level[];
  readonly prediction: Prediction;
  /** The kernel from a level to the next. */
  kernel(level: Level, next: Level): Kernel;
  /** True when the kernels reverse a Markov noising chain, which forgets x_0 as far as ᾱ_0 ≈ 0. */
  readonly reversesMarkov: boolean;
}

/** Derives, once and for every use, what each step does to the network's raw output. */
export function chain({ levels, prediction, kernel, reversesMarkov }: ChainOptions): Chain {
  const T = levels.length - 1;
  const placed = levels.map((level, i) => ({ ...level, i, progress: i / T }));
  const steps = placed.slice(0, T).map((level, i) => stepOf(level, placed[i + 1]!, prediction, kernel));
  return {
    T,
    prediction,
    steps,
    levels: placed,
    stochastic: steps.every(({ sigma }) => sigma > 0),
    memoryless: reversesMarkov && levels[0]!.alphaBar < MEMORYLESS_ALPHA_BAR,
  };
}

function stepOf(level: ChainLevel, next: Level, prediction: Prediction, kernelOf: ChainOptions["kernel"]): Step {
  const { x0Hat, eps } = conversion(prediction, level);
  const kernel = kernelOf(level, next);
  const a = Math.sqrt(level.alphaBar / next.alphaBar);
  return {
    ...level,
    c1: x0Hat.x,
    c2: x0Hat.out,
    e1: eps.x,
    e2: eps.out,
    d1: kernel.x + kernel.x0Hat * x0Hat.x + kernel.eps * eps.x,
    d2: kernel.x0Hat * x0Hat.out + kernel.eps * eps.out,
    sigma: kernel.std,
    a,
    s: Math.sqrt(level.noise ** 2 - (a * next.noise) ** 2),
  };
}
