import type { NamedArrays } from "../core/named-arrays.ts";
import type { Rng } from "../core/rng.ts";
import type { Params } from "../nn/params.ts";
import type { Shape, Tensor } from "../tensor/index.ts";
import type { Mixture } from "./mixture.ts";

/** The moment of the chain a batch of states is at, per sample. */
export interface Time {
  /** Train time of the network, e.g. 0…999. [B] */
  t: Tensor;
  /** Signal power ᾱ of the state. [B] */
  alphaBar: Tensor;
  /** Chain position i/T: 0 = noise, 1 = clean. [B] */
  progress: Tensor;
}

/** What a denoiser is told besides the state, e.g. `{ text: [B, L, D] }`. */
export type Condition = Readonly<Record<string, Tensor>>;

/** A network of a model: how its parameters start and what it computes. */
export interface Network {
  init(rng: Rng): NamedArrays;
  /** Same shape as x. */
  predict(params: Params, x: Tensor, time: Time, condition: Condition): Tensor;
}

/** Which parameters finetuning trains. */
export interface FinetuneOptions {
  mode: "lora" | "full";
  rank: number;
  alpha: number;
  /** Globs over module names. */
  targets: readonly string[];
}

/** Trained parameters and how they enter the denoiser. At the initial values the denoiser is the pretrained one. */
export interface Adaptation {
  init(rng: Rng): NamedArrays;
  /** Parameters for `predict`: the frozen ones with the trained ones in force. */
  bind(frozen: Params, trained: Params): Params;
  /** The same of a policy that starts near p_pre^η instead, in models that know how. */
  tempered?(eta: number): Adaptation;
}

/** A pretrained denoiser with everything a sampler and a trainer ask of it. */
export interface Model {
  readonly kind: string;
  /** One state, without the batch axis: [C, H, W] of latents, or [D]. */
  readonly shape: Shape;
  /** One decoded sample: [3, H, W], or [D]. */
  readonly imageShape: Shape;
  readonly prediction: "epsilon" | "v_prediction" | "sample" | "velocity";
  /** Noise schedule the network was trained with, in the words of a diffusers scheduler_config; unused for a velocity. */
  readonly scheduler: {
    readonly trainSteps: number;
    readonly betaSchedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
    readonly betaStart: number;
    readonly betaEnd: number;
  };
  /** Frozen parameters of the denoiser and the condition encoder. */
  readonly weights: NamedArrays;
  /** Token ids of prompts, [B, tokenLength]; "" is the unconditional prompt. Throws ConfigError for an unknown prompt. */
  tokenize(prompts: readonly string[]): Int32Array;
  readonly tokenLength: number;
  /** Shapes of the condition per sample, by name. */
  readonly conditionShapes: Readonly<Record<string, Shape>>;
  /** Condition from int32 token ids [B, tokenLength]. */
  encode(params: Params, tokens: Tensor): Condition;
  predict(params: Params, x: Tensor, time: Time, condition: Condition): Tensor;
  /** Latents [B, …shape] to images [B, …imageShape], images in [0, 1] (not clamped). */
  decode(latents: Tensor): Tensor;
  adaptation(options: FinetuneOptions): Adaptation;
  /** The exact prior law of each prompt, in worlds where it is known. */
  readonly prior?: Readonly<Record<string, Mixture>>;
  /** The flow-gradient network g_φ, zero at its initial values. */
  readonly flow: Network;
}
