import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { type Chain, chain } from "./chain.ts";
import { type Grid, gridLevels, grids } from "./grid.ts";
import type { Kernel } from "./kernel.ts";
import type { Level } from "./level.ts";
import type { Prediction } from "./prediction.ts";
import type { NoiseSchedule } from "./schedule.ts";

/** Options every sampler has. */
export const commonOptions = {
  steps: z.int().min(1).default(50).describe("number T of steps"),
  /** out = out_uncond + w (out_prompt − out_uncond) */
  guidance: z.number().min(0).default(1).describe("guidance scale; 1 = the prediction for the prompt alone"),
};

/** Options of samplers that walk down a model's own noise schedule. */
export const diffusionOptions = {
  ...commonOptions,
  grid: z.enum(grids).default("leading").describe("which levels are visited"),
};

interface CommonOptions {
  steps: number;
  guidance: number;
  grid?: Grid;
}

/** What a chain needs to know of a model. */
export interface SampledModel {
  readonly scheduler: NoiseSchedule;
  readonly prediction: Prediction;
}

/** What a sampler file states. */
export interface SamplerDefinition<Schema extends z.ZodType<CommonOptions>> {
  kind: string;
  /** One line for `nabla list samplers`. */
  summary: string;
  options: Schema;
  /** Network outputs it can work with. */
  predictions: readonly Prediction[];
  /** T + 1 levels; when omitted, those of the option `grid` on the model's noise schedule. */
  levels?(options: z.output<Schema>): Level[];
  kernel(level: Level, next: Level, options: z.output<Schema>): Kernel;
  /** True when every step has noise. */
  stochastic(options: z.output<Schema>): boolean;
  /** True when the kernels reverse a Markov noising chain. */
  reversesMarkov(options: z.output<Schema>): boolean;
  /** The same levels without noise. */
  ode(options: z.output<Schema>): SamplerEntry;
}

/** A sampler as a configuration names it. */
export interface SamplerEntry {
  kind: string;
  [option: string]: unknown;
}

/** A sampler with its options applied. */
export interface Sampler {
  readonly kind: string;
  /** Options after defaults, for the run's configuration. */
  readonly options: unknown;
  readonly guidance: number;
  /** Every step has noise, whatever the model. */
  readonly stochastic: boolean;
  /** The kernels reverse a Markov noising chain: the chain forgets its start where its levels start at noise. */
  readonly reversesMarkov: boolean;
  /** Throws ConfigError when the model's prediction or the number of steps does not fit. */
  chain(model: SampledModel): Chain;
}

/** A registered sampler: call it with options, or let a configuration name its kind. Options are checked when called. */
// biome-ignore lint/suspicious/noExplicitAny: a list of kinds takes each kind's own options
export interface SamplerKind<Options = any> {
  readonly kind: string;
  readonly summary: string;
  readonly options: z.ZodType;
  (options?: Options): Sampler;
  /** The sampler of the same levels without noise. */
  ode(options?: Options): SamplerEntry;
}

/** Defines a sampler by its Gaussian kernel; sampling, log-probability and both scores are derived from that. */
export function defineSampler<Schema extends z.ZodType<CommonOptions>>(
  definition: SamplerDefinition<Schema>,
): SamplerKind<z.input<Schema>> {
  const { kind, summary, options: schema, predictions } = definition;
  const make = (given?: z.input<Schema>): Sampler => {
    const options = schema.parse(given ?? {});
    const reversesMarkov = definition.reversesMarkov(options);
    return {
      kind,
      options,
      guidance: options.guidance,
      stochastic: definition.stochastic(options),
      reversesMarkov,
      chain({ scheduler, prediction }) {
        if (!predictions.includes(prediction)) {
          throw new ConfigError(
            `The sampler "${kind}" works with networks that predict ${predictions.join(", ")}, but this one predicts ${prediction}. Use ${prediction === "velocity" ? "flow" : "ddpm or ddim"}.`,
          );
        }
        return chain({
          levels: definition.levels?.(options) ?? gridLevels(options.grid ?? "leading", options.steps, scheduler),
          prediction,
          kernel: (level, next) => definition.kernel(level, next, options),
          reversesMarkov,
        });
      },
    };
  };
  const ode = (given?: z.input<Schema>) => definition.ode(schema.parse(given ?? {}));
  return Object.assign(make, { kind, summary, options: schema, ode });
}
