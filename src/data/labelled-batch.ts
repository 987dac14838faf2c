import { ConfigError } from "../core/errors.ts";
import type { Rng } from "../core/rng.ts";
import { AUGMENT_UNIFORMS, type Augmentation, chooseBackground, defaultAugmentation, drawOn, SIDE } from "./augment.ts";
import { BACKGROUNDS } from "./backgrounds.ts";
import type { Picture, PictureSet } from "./pictures.ts";
import { soften } from "./soften.ts";

/** How pictures for a classifier may differ from the drawings; without noise. */
export interface ClassifierAugmentation extends Augmentation {
  /** Probability of a ground of any colour, from black to white, instead of a named one. */
  anyColourShare: number;
  /** Largest difference in brightness between opposite edges of the ground, as a share. */
  groundSlope: number;
  /** Probability of a softened picture, and the largest standard deviation of the softening in pixels, at most 1. */
  softShare: number;
  softStd: number;
}

/** What the text-to-image model is trained with, and nothing more: for tests. */
export const plainClassifierAugmentation: ClassifierAugmentation = {
  ...defaultAugmentation,
  anyColourShare: 0,
  groundSlope: 0,
  softShare: 0,
  softStd: 0,
};

/** What a picture is labelled with; a label is −1 where it has none. */
export const LABEL_NAMES = ["animal", "style", "background"] as const;
export type LabelName = (typeof LABEL_NAMES)[number];

export interface LabelledBatch {
  images: Float32Array; // [B, 3, 32, 32] in [0, 1]
  labels: Record<LabelName, Int32Array>; // [B] each: indices into set.animals, set.styles and BACKGROUNDS
}

/**
 * A batch of augmented pictures with what is true of them. First a class of `balance` is drawn, then one of its
 * pictures. Sample `index` depends on (seed, step, index) only. Throws ConfigError when the set is empty.
 */
export function labelledBatch(
  set: PictureSet,
  rng: Rng,
  step: number,
  batchSize: number,
  balance: "animal" | "style",
  augmentation: ClassifierAugmentation,
): LabelledBatch {
  const groups = picturesByClass(set, balance);
  const images = new Float32Array(batchSize * 3 * SIDE * SIDE);
  const labels = {
    animal: new Int32Array(batchSize),
    style: new Int32Array(batchSize),
    background: new Int32Array(batchSize),
  };
  const choices = rng.uniform(batchSize * 2, { purpose: "data", sample: step });
  for (let index = 0; index < batchSize; index++) {
    const pictures = groups[Math.floor(choices[2 * index]! * groups.length)]!;
    const picture = pictures[Math.floor(choices[2 * index + 1]! * pictures.length)]!;
    const u = rng.uniform(UNIFORMS, { purpose: "augment", sample: index, step });
    labels.animal[index] = picture.label;
    labels.style[index] = picture.style;
    labels.background[index] = drawLabelled(picture, u, images, index * 3 * SIDE * SIDE, augmentation);
  }
  return { images, labels };
}

const UNIFORMS = AUGMENT_UNIFORMS + 8;

function drawLabelled(
  picture: Picture,
  u: Float64Array,
  out: Float32Array,
  offset: number,
  options: ClassifierAugmentation,
): number {
  const [any, red, green, blue, slopeX, slopeY, soft, std] = u.subarray(AUGMENT_UNIFORMS) as unknown as number[];
  const named = any! < options.anyColourShare ? -1 : chooseBackground(picture, u[8]!, u[9]!, options);
  const rgb = named < 0 ? ([red!, green!, blue!] as const) : BACKGROUNDS[named]!.rgb;
  const slope = (v: number) => (2 * v - 1) * options.groundSlope;
  drawOn(picture, u, { rgb, slopeX: slope(slopeX!), slopeY: slope(slopeY!) }, out, offset, options);
  if (soft! < options.softShare) soften(out.subarray(offset, offset + 3 * SIDE * SIDE), SIDE, std! * options.softStd);
  return named;
}

function picturesByClass(set: PictureSet, balance: "animal" | "style"): Picture[][] {
  const groups = new Map<number, Picture[]>();
  for (const picture of set.pictures) {
    const key = balance === "animal" ? picture.label : picture.style;
    groups.set(key, [...(groups.get(key) ?? []), picture]);
  }
  if (groups.size === 0) throw new ConfigError("A batch needs pictures, but this set has none.");
  return [...groups.values()];
}
