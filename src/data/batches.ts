import { ConfigError } from "../core/errors.ts";
import type { Rng } from "../core/rng.ts";
import { AUGMENT_UNIFORMS, type Augmentation, augment, defaultAugmentation, SIDE } from "./augment.ts";
import { BACKGROUNDS } from "./backgrounds.ts";
import type { Picture, PictureSet } from "./pictures.ts";
import { choosePrompt, STYLE_WORDS } from "./prompts.ts";

export interface TrainingBatch {
  images: Float32Array; // [B, 3, 32, 32] in [0, 1]
  prompts: string[]; // [B]
  labels: Int32Array; // [B], index of the animal in set.animals
  styles: Int32Array; // [B], index of the style in set.styles
}

/**
 * A batch of augmented pictures with their prompts. First an animal is drawn, then one of its pictures, so that animals
 * are balanced, however many pictures each has. Sample `index` depends on (seed, step, index) only, not on the batch size.
 * Throws ConfigError if `set` has no picture of an animal.
 */
export function trainingBatch(
  set: PictureSet,
  rng: Rng,
  step: number,
  batchSize: number,
  augmentation: Augmentation = defaultAugmentation,
): TrainingBatch {
  const byAnimal = picturesByAnimal(set);
  const images = new Float32Array(batchSize * 3 * SIDE * SIDE);
  const prompts: string[] = [];
  const labels = new Int32Array(batchSize);
  const styles = new Int32Array(batchSize);
  const choices = rng.uniform(batchSize * CHOICES, { purpose: "data", sample: step });
  for (let index = 0; index < batchSize; index++) {
    const [animal, pick, detail] = choices.subarray(index * CHOICES, (index + 1) * CHOICES);
    const pictures = byAnimal[Math.floor(animal! * byAnimal.length)]!;
    const picture = pictures[Math.floor(pick! * pictures.length)]!;
    const u = rng.uniform(AUGMENT_UNIFORMS, { purpose: "augment", sample: index, step });
    const background = augment(picture, u, images, index * 3 * SIDE * SIDE, augmentation);
    const styleWord = STYLE_WORDS[set.styles[picture.style]!.style];
    const details = { background: BACKGROUNDS[background]!.name, ...(styleWord === undefined ? {} : { styleWord }) };
    prompts.push(choosePrompt(picture.animal, details, detail!));
    labels[index] = picture.label;
    styles[index] = picture.style;
  }
  return { images, prompts, labels, styles };
}

const CHOICES = 3; // uniforms per sample: animal, picture, prompt

const groups = new WeakMap<PictureSet, Picture[][]>();

/** Pictures grouped by label; grouped once per set. */
function picturesByAnimal(set: PictureSet): Picture[][] {
  const known = groups.get(set);
  if (known !== undefined) return known;
  const byAnimal: Picture[][] = set.animals.map(() => []);
  for (const picture of set.pictures) byAnimal[picture.label]!.push(picture);
  const missing = set.animals.filter((_, label) => byAnimal[label]!.length === 0);
  if (missing.length > 0) {
    throw new ConfigError(`Balanced batches need a picture of every animal, but this set lacks ${missing.join(", ")}.`);
  }
  groups.set(set, byAnimal);
  return byAnimal;
}
