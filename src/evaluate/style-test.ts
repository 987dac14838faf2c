import { Rng } from "../core/rng.ts";
import {
  AUGMENT_UNIFORMS,
  BACKGROUNDS,
  defaultAugmentation,
  drawOn,
  labelledBatch,
  type PictureSet,
  plainClassifierAugmentation,
  SIDE,
} from "../data/index.ts";
import { auc } from "./auc.ts";

/** Scores of pictures [N, 3, 32, 32]: [N]. */
export type ScorePictures = (images: Float32Array) => Promise<Float32Array>;

export interface StyleTest {
  /** AUC of pictures in the chosen styles against pictures of other families. */
  auc: number;
  /** The same against every other style, siblings of the same maker included. */
  aucAllStyles: number;
  /** Mean score of the chosen styles − mean score of the other families, upright on white. */
  gap: number;
  /** Mean |change of the score| when one thing alone changes, as a share of the gap. */
  change: { background: number; hue: number; flip: number };
  /** Mean and standard deviation of the score over the augmented pictures, styles balanced. */
  mean: number;
  std: number;
}

const HUE_DEG = 20; // more than any augmentation of the text-to-image model

/**
 * How well a score tells pictures in `chosen` styles from others, and how little it depends on what is no style. AUCs
 * are over `augmented` pictures of the set with the augmentation that the text-to-image model is trained with.
 */
export async function testStyleScore(
  score: ScorePictures,
  set: PictureSet,
  chosen: readonly string[],
  { seed, augmented }: { seed: number; augmented: number },
): Promise<StyleTest> {
  const isChosen = set.styles.map(({ style }) => chosen.includes(style));
  const families = new Set(set.styles.filter((_, k) => isChosen[k]).map(({ family }) => family));
  const isOtherFamily = set.styles.map(({ family }) => !families.has(family));

  const { images, labels } = labelledBatch(set, new Rng(seed), 0, augmented, "style", plainClassifierAugmentation);
  const scores = await score(images);
  const scoresOf = (which: readonly boolean[]) => scores.filter((_, j) => which[labels.style[j]!]);
  const mean = average(scores);

  const base = await score(upright(set, {}));
  const baseOf = (which: readonly boolean[]) => base.filter((_, j) => which[set.pictures[j]!.style]);
  const gap = average(baseOf(isChosen)) - average(baseOf(isOtherFamily));
  const change = async (variants: readonly Variant[]) => {
    const changes: number[] = [];
    for (const variant of variants) {
      const varied = await score(upright(set, variant));
      varied.forEach((value, j) => {
        changes.push(Math.abs(value - base[j]!));
      });
    }
    return average(changes) / gap;
  };
  return {
    auc: auc(scoresOf(isChosen), scoresOf(isOtherFamily)),
    aucAllStyles: auc(scoresOf(isChosen), scoresOf(isChosen.map((c) => !c))),
    gap,
    change: {
      background: await change(BACKGROUNDS.slice(1).map(({ rgb }) => ({ rgb }))),
      hue: await change([{ hueDeg: -HUE_DEG }, { hueDeg: HUE_DEG }]),
      flip: await change([{ flip: true }]),
    },
    mean,
    std: Math.sqrt(average(scores.map((s) => (s - mean) ** 2))),
  };
}

interface Variant {
  rgb?: readonly [number, number, number];
  hueDeg?: number;
  flip?: boolean;
}

/** Every picture of a set, centred and upright at nine tenths of its largest size, on white unless said otherwise. */
function upright(set: PictureSet, { rgb = [1, 1, 1], hueDeg = 0, flip = false }: Variant): Float32Array {
  const middle = new Float64Array(AUGMENT_UNIFORMS).fill(0.5);
  middle[5] = hueDeg < 0 ? 0 : hueDeg > 0 ? 1 : 0.5;
  const options = {
    ...defaultAugmentation,
    flipShare: Number(flip),
    minScale: 0.9,
    maxScale: 0.9,
    maxHueDeg: Math.abs(hueDeg),
  };
  const images = new Float32Array(set.pictures.length * 3 * SIDE * SIDE);
  set.pictures.forEach((picture, j) => {
    drawOn(picture, middle, { rgb, slopeX: 0, slopeY: 0 }, images, j * 3 * SIDE * SIDE, options);
  });
  return images;
}

const average = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
