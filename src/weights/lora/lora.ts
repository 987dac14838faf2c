import { FormatError } from "../../core/errors.ts";
import type { NamedArray } from "../../core/named-arrays.ts";

/** A low-rank addition to the weight of one module: W + alpha/rank · B·A [hu2022lora]. */
export interface LoraModule {
  /** A: [rank, in], of a convolution [rank, in, kh, kw]. */
  readonly down: NamedArray;
  /** B: [out, rank], of a convolution [out, rank, 1, 1]. */
  readonly up: NamedArray;
  readonly alpha: number;
  readonly rank: number;
}

/**
 * Low-rank additions by module, whatever file they came from. A name is the network's part in a diffusers folder and the
 * path inside it: `unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q`.
 */
export type Lora = Readonly<Record<string, LoraModule>>;

/** Networks of a diffusers folder that a LoRA can belong to. */
export const components = ["unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3"] as const;
export type Component = (typeof components)[number];

/** Four times the largest weight of any network that is finetuned; A and B of a small file could ask for far more. */
const MAX_WEIGHT_NUMBERS = 2 ** 28;

/** `unet.conv_in` → ["unet", "conv_in"]; undefined when no component stands in front. */
export function splitComponent(name: string): [Component, string] | undefined {
  const component = components.find((candidate) => name.startsWith(`${candidate}.`));
  return component && [component, name.slice(component.length + 1)];
}

/**
 * A checked module; `alpha` undefined means alpha = rank. Throws FormatError, naming `name` and `source`, for shapes that
 * are no pair of a low-rank addition, and for numbers that are not finite.
 */
export function loraModule(
  name: string,
  down: NamedArray,
  up: NamedArray,
  alpha: number | undefined,
  source: string,
): LoraModule {
  const [rank = 0, , ...kernel] = down.shape;
  const isPair =
    (down.shape.length === 2 || down.shape.length === 4) &&
    up.shape.length === down.shape.length &&
    up.shape[1] === rank &&
    up.shape.slice(2).every((side) => side === 1) &&
    kernel.every((side) => side > 0);
  if (!isPair || rank < 1) {
    throw new FormatError(
      `${source}: ${name}: a low-rank addition has A [rank, in] and B [out, rank], or [rank, in, kh, kw] and [out, rank, 1, 1] for a convolution, but A is [${down.shape}] and B is [${up.shape}].`,
    );
  }
  const count = up.shape[0]! * (down.data.length / rank); // of the weight that is changed
  if (count > MAX_WEIGHT_NUMBERS) {
    throw new FormatError(
      `${source}: ${name}: a weight has at most ${MAX_WEIGHT_NUMBERS} numbers, but B·A of [${up.shape}] and [${down.shape}] has ${count}.`,
    );
  }
  const scale = alpha ?? rank;
  if (!Number.isFinite(scale) || !down.data.every(Number.isFinite) || !up.data.every(Number.isFinite)) {
    throw new FormatError(`${source}: ${name} holds numbers that are not finite; the training that wrote it diverged.`);
  }
  return { down, up, alpha: scale, rank };
}

/** What is added to the weight: alpha/rank · B·A, [out, in, …kernel], in float64. */
export function loraDelta({ down, up, alpha, rank }: LoraModule): { shape: number[]; data: Float64Array } {
  const outputs = up.shape[0]!;
  const width = down.data.length / rank; // in · kh · kw
  const scale = alpha / rank;
  const data = new Float64Array(outputs * width);
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < rank; r++) {
      const factor = scale * up.data[o * rank + r]!;
      for (let i = 0; i < width; i++) data[o * width + i]! += factor * down.data[r * width + i]!;
    }
  }
  return { shape: [outputs, ...down.shape.slice(1)], data };
}

/** B with weight · alpha/rank in it. */
export function scaledUp({ up, alpha, rank }: LoraModule, weight = 1): NamedArray {
  const scale = (weight * alpha) / rank;
  return scale === 1 ? up : { shape: up.shape, data: up.data.map((value) => value * scale) };
}
