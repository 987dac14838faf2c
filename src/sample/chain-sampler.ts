import type { Chain } from "../diffusion/index.ts";
import type { Model } from "../models/index.ts";
import type { Params } from "../nn/index.ts";
import type { Program, Runtime, Values } from "../runtime/index.ts";
import { input, sizeOf } from "../tensor/index.ts";
import { levelRow, repeatedRow } from "./chain-columns.ts";
import type { Conditions } from "./conditions.ts";
import { guidedState } from "./guided-state.ts";
import { type FlowGradient, firstHalf, type HalfStep, secondHalf, varianceAt } from "./half-steps.ts";

/** N trajectories of a chain: x_0 … x_T with what was known when they were drawn. */
export interface Trajectories {
  readonly count: number;
  /** The prompt of each trajectory; it travels with its states. */
  readonly prompts: readonly string[];
  /** states[i] holds x_i of every trajectory, [N, …shape]. Only the last is kept unless `keepStates`. */
  readonly states: readonly Float32Array[];
  /** Guided network outputs at x_i, i < T, [N, …shape]; with `keepStates`. */
  readonly outputs: readonly Float32Array[];
}

/**
 * Writes the standard normal noise that makes x_i (i = 0: the initial state) of trajectory `sample`. Half steps ask again, with
 * T + i, for the second half of the step to x_i.
 */
export type NoiseSource = (out: Float32Array, offset: number, size: number, sample: number, i: number) => void;

/** One step of a block of trajectories: x_{i+1} was drawn from x_i. Its arrays are overwritten by the next step. */
export interface SampledStep {
  readonly i: number;
  /** The first trajectory of the block, and how many of its rows are trajectories: the rest is padding. */
  readonly start: number;
  readonly used: number;
  /** x_i, the guided output there, that of the `reference`, and x_{i+1}. [block, …shape] */
  readonly x: Float32Array;
  readonly out: Float32Array;
  readonly reference: Float32Array;
  readonly xNext: Float32Array;
  /** log v of the step where it was learned. […shape] */
  readonly logVariance: Float32Array | undefined;
  /** Where x_{i+1} was drawn in two halves. */
  readonly half: HalfStep | undefined;
}

export interface SampleRequest {
  prompts: readonly string[];
  conditions: Conditions;
  noise: NoiseSource;
  /** x_0 of every trajectory, [N, …shape]. Default: the noise of step 0. */
  initial?: Float32Array | undefined;
  /** Values of trained parameters, by input name. */
  trained?: Values;
  /** log v of every step, whose covariance is then σ_i² diag(v_i). [T, …shape] */
  logVariance?: Float32Array | undefined;
  keepStates?: boolean;
  /** Sees every step as it is drawn. Needs a sampler with a `reference`. */
  watch?: ((step: SampledStep) => void) | undefined;
  /** Called after each step of each block with the fraction done. */
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal | undefined;
}

export interface ChainSampler {
  sample(request: SampleRequest): Promise<Trajectories>;
  release(): Promise<void>;
}

export interface ChainSamplerOptions {
  model: Model;
  chain: Chain;
  guidance: number;
  /** Trajectories advanced together; a batch is padded to a multiple of it. */
  block: number;
  /** Constants for a fixed network, or constants and trained inputs. */
  params: Params;
  /** Another network, evaluated at the same states in the same program. */
  reference?: Params | undefined;
  /** Draws each step but the last in two halves, the second with h at the point between. Needs a `reference`. */
  flowGradient?: FlowGradient | undefined;
}

/** Compiles one step of the chain, x_{i+1} = d₁x_i + d₂·out + σ z, and runs it T times per block of trajectories. */
export async function openChainSampler(runtime: Runtime, options: ChainSamplerOptions): Promise<ChainSampler> {
  const { model, guidance, block, params, reference } = options;
  const { x, level, output } = guidedState(model, guidance, block);
  const sigma = input("sigma", [block, ...model.shape.map(() => 1)]);
  const out = output(params);
  const xNext = x.mul(level.d1).add(out.mul(level.d2)).add(input("noise", x.shape).mul(sigma));
  const program = await runtime.compile({ xNext, out, ...(reference && { reference: output(reference) }) });
  return {
    sample: (request) => run(program, options, request),
    release: () => program.release(),
  };
}

async function run(program: Program, options: ChainSamplerOptions, request: SampleRequest): Promise<Trajectories> {
  const { model, chain, block, flowGradient } = options;
  const { prompts, conditions, noise, initial, trained = {}, keepStates = false } = request;
  const size = sizeOf(model.shape);
  const count = prompts.length;
  const keep = (steps: number) => Array.from({ length: keepStates ? steps : 0 }, () => new Float32Array(count * size));
  const states = keep(chain.T);
  states.push(new Float32Array(count * size));
  const outputs = keep(chain.T);
  const blocks = Math.ceil(count / block);

  for (let k = 0; k < blocks; k++) {
    const start = k * block;
    const used = Math.min(block, count - start);
    const blockPrompts = Array.from({ length: block }, (_, b) => prompts[start + Math.min(b, used - 1)]!);
    const fixed: Values = { ...trained, ...conditions.feeds(blockPrompts) };
    const draw = (out: Float32Array, i: number) => {
      for (let b = 0; b < used; b++) noise(out, b * size, size, start + b, i);
    };
    const put = (to: Float32Array, from: Float32Array) => to.set(from.subarray(0, used * size), start * size);
    let x: Float32Array = new Float32Array(block * size);
    const z = new Float32Array(block * size);
    if (initial) x.set(initial.subarray(start * size, (start + used) * size));
    else draw(x, 0);
    for (let i = 0; i < chain.T; i++) {
      request.signal?.throwIfAborted();
      draw(z, i + 1);
      const step = chain.steps[i]!;
      const logVariance = request.logVariance?.subarray(i * size, (i + 1) * size);
      const result = await program.run({
        ...fixed,
        x,
        noise: logVariance ? z.map((value, k) => value * Math.sqrt(varianceAt(logVariance, k))) : z,
        columns: repeatedRow(levelRow(chain, i), block),
        sigma: new Float32Array(block).fill(step.sigma),
      });
      if (keepStates) {
        put(states[i]!, x);
        put(outputs[i]!, result.out!);
      }
      const { out, reference } = result as Record<"out" | "reference", Float32Array>;
      let xNext: Float32Array = result.xNext!.slice();
      let half: HalfStep | undefined;
      // at the last step h(x_T) is no better known between than Δ: two halves with Δ are the whole step
      if (flowGradient && i < chain.T - 1) {
        const middle = firstHalf(step, { x, out, reference, noise: z, logVariance });
        half = { middle, gradient: await flowGradient(i + 1, middle, blockPrompts) };
        draw(z, chain.T + i + 1);
        xNext = secondHalf(step, half, z, logVariance);
      }
      request.watch?.({ i, start, used, x, out, reference, xNext, logVariance, half });
      x = xNext;
      request.onProgress?.((k + (i + 1) / chain.T) / blocks);
    }
    put(states[states.length - 1]!, x);
  }
  return { count, prompts, states, outputs };
}
