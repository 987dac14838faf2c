import { NonFiniteError } from "../core/errors.ts";
import { logMeanExp } from "../core/importance.ts";
import { cloneArrays, type NamedArray, type NamedArrays } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import type { Model } from "../models/index.ts";
import { asConstants, asInputs, type Params } from "../nn/index.ts";
import { AdamW, clipGradNorm, warmupCosineRate } from "../optim/index.ts";
import type { GraphReward } from "../rewards/reward.ts";
import type { Program, Runtime } from "../runtime/index.ts";
import { openChainSampler } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { openScorer } from "../sample/image-scorer.ts";
import { initialParts } from "../sample/initial-law.ts";
import { fill, gradient, input, type Tensor } from "../tensor/index.ts";
import type { InitialLawStepEvent } from "./events.ts";
import type { LoopOptions } from "./finetune-options.ts";

/** Trajectories of the pretrained chain per update; they carry no gradient. */
const BATCH = 512;

const prefix = "value.";

/**
 * V(x_0) = log E_#[exp(β r(x_T)) | x_0] up to a constant of the prompt, the first stage of [uehara2024elegant], learned from
 * trajectories of the pretrained chain, each of which is seen once:
 *   L = E_#[ exp(f(x_0)) − y f(x_0) ],  y = exp(β r(x_T) − c)
 * is a Bregman divergence of y (the Poisson deviance) and so least where exp(f) is the mean of y given x_0, the exponential
 * moment itself; regression of β r, or of log y, would find a smaller number (Jensen). With the best constant in f it is
 * KL(ν* ‖ ν_f) of the laws ν ∝ ν_# exp(·) that the second stage draws from, up to a number: precise where ν* lies. One end per
 * x_0 suffices, since y is never inside a logarithm; at the same cost, more x_0 tell more than more ends of each.
 *
 * As many updates as the run has, each of which is told when it is made. The scale c is log mean exp(β r) of the prompt's first
 * batch. Undefined when aborted. Throws NonFiniteError.
 */
export async function* fitInitialValue(
  options: LoopOptions,
  beta: number,
): AsyncGenerator<InitialLawStepEvent, NamedArrays | undefined> {
  const { config, parts, runtime, signal } = options;
  const { updates, seed, flowOptimizer } = config.train;
  const { model: standard } = initialParts(parts.model);
  const params = cloneArrays(standard.flow.init(new Rng(seed)));
  const optimizer = new AdamW(flowOptimizer);
  const rate = warmupCosineRate(flowOptimizer.lr, updates, 0);
  const features = onePerPrompt(standard);
  const program = await compileFit(runtime, standard, params, features.size);
  const trained = Object.fromEntries(Object.entries(params).map(([name, { data }]) => [prefix + name, data]));
  const pretrained = await openPretrained(options);
  const scales = new Map<string, number>();
  try {
    for (let update = 0; update < updates; update++) {
      if (signal?.aborted) return undefined;
      const { starts, rewards, prompts } = await pretrained.draw(update);
      const logY = rewards.map((r) => beta * r);
      scaleNew(scales, prompts, logY);
      const { loss, ...slopes } = await program.run({
        ...trained,
        x: starts,
        prompts: features.of(prompts),
        y: logY.map((value, k) => Math.exp(value - scales.get(prompts[k]!)!)),
      });
      if (!Number.isFinite(loss![0])) {
        throw new NonFiniteError(
          `The initial law: update ${update + 1} of V_0 has the loss ${loss![0]} (seed ${seed}). The mean of exp(beta r) needs a smaller objective.beta.`,
        );
      }
      const gradient: Record<string, NamedArray> = {};
      for (const [name, { shape }] of Object.entries(params)) gradient[name] = { shape, data: slopes[name]!.slice() };
      clipGradNorm(gradient, flowOptimizer.clip);
      optimizer.step(params, gradient, rate(update));
      yield { type: "initial-law-step", stage: "value", update: update + 1, updates };
    }
    return params;
  } finally {
    for (const part of [program, pretrained]) await part.release();
  }
}

/** Outputs `loss`, and its gradient by each parameter under the parameter's name. */
function compileFit(runtime: Runtime, standard: Model, params: NamedArrays, prompts: number): Promise<Program> {
  const inputs = asInputs(params, prefix);
  const names = Object.keys(inputs);
  const f = initialValue(standard, inputs, input("x", [BATCH, ...standard.shape]), input("prompts", [BATCH, prompts]));
  const loss = f
    .exp()
    .sub(input("y", [BATCH]).mul(f))
    .mean();
  const slopes = gradient(loss, Object.values(inputs));
  return runtime.compile({ loss, ...Object.fromEntries(slopes.map((slope, k) => [names[k]!, slope])) });
}

/** Trajectories of the pretrained chain, new ones for every update: where they start, and the reward of their ends. */
async function openPretrained({ config, parts, runtime }: LoopOptions) {
  const { model, chain, guidance, prompts, reward } = parts;
  const rng = new Rng(config.train.seed);
  const conditions = await encodePrompts(runtime, model, prompts, guidance);
  const params = asConstants(model.weights);
  const sampler = await openChainSampler(runtime, { model, chain, guidance, block: BATCH, params });
  const scorer = await openScorer(runtime, model, reward, BATCH);
  return {
    async draw(update: number) {
      const first = update * BATCH;
      const drawn = Array.from({ length: BATCH }, (_, k) => prompts[(first + k) % prompts.length]!);
      const { states } = await sampler.sample({
        prompts: drawn,
        conditions,
        keepStates: true,
        noise: (out, offset, size, sample, step) =>
          rng.fillNormal(out, offset, size, { purpose: "reference", sample: first + sample, step }),
      });
      const { rewards } = await scorer.score(states[chain.T]!, drawn);
      return { starts: states[0]!, rewards, prompts: drawn };
    },
    async release() {
      for (const part of [sampler, scorer]) await part.release();
    },
  };
}

/** V as a reward of the world whose samples are x_0, for the second stage: there β r is V itself. */
export function valueReward(standard: Model, value: NamedArrays): GraphReward {
  return {
    kind: "initial-value",
    differentiable: true,
    promptFeatures: onePerPrompt(standard),
    score: ({ images, prompts }) => initialValue(standard, asConstants(value), images, prompts),
  };
}

/** f [B] at x [B, D]: the mean of the flow network over elements, 0 at its initial values. `prompts`: one-hot, [B, P]. */
function initialValue({ flow }: Model, params: Params, x: Tensor, prompts: Tensor): Tensor {
  const zero = fill([x.shape[0]!], 0);
  return flow.predict(params, x, { t: zero, alphaBar: zero, progress: zero }, { prompt: prompts }).mean([1]);
}

/** One column for each prompt of a world. */
function onePerPrompt({ prior, tokenize }: Model) {
  const size = Object.keys(prior!).length;
  return {
    size,
    of(prompts: readonly string[]) {
      const table = new Float32Array(prompts.length * size);
      tokenize(prompts).forEach((prompt, row) => {
        table[row * size + prompt] = 1;
      });
      return table;
    },
  };
}

/** c = log mean exp(β r) of the prompts that are seen for the first time. */
function scaleNew(scales: Map<string, number>, prompts: readonly string[], logY: Float32Array): void {
  for (const prompt of new Set(prompts)) {
    if (scales.has(prompt)) continue;
    scales.set(prompt, logMeanExp(logY.filter((_, k) => prompts[k] === prompt)));
  }
}
