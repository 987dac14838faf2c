import type { NamedArrays } from "../core/named-arrays.ts";
import { type Chain, chain, diffusionLevel, type Kernel, type Level } from "../diffusion/index.ts";
import { gaussianMixture } from "../models/gaussian-mixture.ts";
import type { Adaptation, Model } from "../models/index.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { sizeOf } from "../tensor/index.ts";
import { type NoiseSource, openChainSampler } from "./chain-sampler.ts";
import { encodePrompts } from "./conditions.ts";

/** Prefix, among the trained weights of a run, of those of the law that x_0 is drawn from. */
export const initialLawPrefix = "initial.";

const STEPS = 20;

/**
 * With a = √(ᾱ/ᾱ') and s² = 1 − a² the mean of P(x' | x, x0Hat), and the larger of the two variances of [ho2020ddpm] Sec. 3.2,
 * σ² = s², which is that of P(x' | x) where the data are N(0, I): then every state is N(0, I), at any number of steps.
 */
function kernel({ alphaBar }: Level, next: Level): Kernel {
  const a = Math.sqrt(alphaBar / next.alphaBar);
  const s2 = 1 - a * a;
  return {
    x: (a * (1 - next.alphaBar)) / (1 - alphaBar),
    x0Hat: (Math.sqrt(next.alphaBar) * s2) / (1 - alphaBar),
    eps: 0,
    std: Math.sqrt(s2),
  };
}

/** The chain that ends in x_0 of another: ᾱ_k = sin²(πk/2K), from 0, so that nothing of its own start is left, to 1. */
const initialChain: Chain = chain({
  levels: Array.from({ length: STEPS + 1 }, (_, k) => diffusionLevel(k, Math.sin((Math.PI * k) / (2 * STEPS)) ** 2)),
  prediction: "v_prediction",
  kernel,
  reversesMarkov: true,
});

/** A chain whose end is the start of another, with the model it samples. */
export interface InitialParts {
  readonly model: Model;
  readonly chain: Chain;
  readonly guidance: 1;
  readonly adaptation: Adaptation;
}

/**
 * What a law of x_0 is learned and drawn with, for an exact world with states [D]: the world N(0, I) of the same prompts, with
 * its own small network. Untrained, the end of its chain is exactly N(0, I); so the two chains are one longer chain that
 * forgets its start and has the pretrained model's law.
 */
export function initialParts({ prior, shape }: Model): InitialParts {
  if (!prior) throw new Error("a law of x_0 is learned in exact worlds only; the check of the parts refuses others");
  const standard = { means: [new Array<number>(sizeOf(shape)).fill(0)], stds: 1 };
  const prompts = Object.fromEntries(Object.keys(prior).map((prompt) => [prompt, standard]));
  const model = gaussianMixture({ prediction: "v_prediction", prompts });
  const adaptation = model.adaptation({ mode: "full", rank: 1, alpha: 1, targets: [] });
  return { model, chain: initialChain, guidance: 1, adaptation };
}

/** Draws x_0 from a learned law. */
export interface InitialLaw {
  /** [N, …shape]; step i of the noise makes state i of the chain that ends in x_0. */
  draw(prompts: readonly string[], noise: NoiseSource): Promise<Float32Array>;
  release(): Promise<void>;
}

/** `weights` are those of the law, without their prefix; `prompts` all that will be drawn for. */
export async function openInitialLaw(
  runtime: Runtime,
  model: Model,
  weights: NamedArrays,
  { prompts, block }: { prompts: readonly string[]; block: number },
): Promise<InitialLaw> {
  const { adaptation, ...parts } = initialParts(model);
  const conditions = await encodePrompts(runtime, parts.model, prompts);
  const params = adaptation.bind(asConstants(parts.model.weights), asConstants(weights));
  const sampler = await openChainSampler(runtime, { ...parts, block, params });
  return {
    draw: async (wanted, noise) => (await sampler.sample({ prompts: wanted, conditions, noise })).states.at(-1)!,
    release: () => sampler.release(),
  };
}
