import { Rng } from "../core/rng.ts";
import { type ClassifierAugmentation, type LabelName, labelledBatch, type PictureSet } from "../data/index.ts";
import { argmaxRows, type PictureProgram } from "../sample/picture-networks.ts";

/** Share of `n` fresh augmented pictures, classes of `head` balanced where it can be, whose likeliest class is theirs. */
export async function classAccuracy(
  network: PictureProgram,
  head: LabelName,
  classes: readonly string[],
  set: PictureSet,
  { seed, n, augmentation }: { seed: number; n: number; augmentation: ClassifierAugmentation },
): Promise<number> {
  const balance = head === "style" ? "style" : "animal";
  const { images, labels } = labelledBatch(set, new Rng(seed), 0, n, balance, augmentation);
  const likeliest = argmaxRows((await network.run(images))[head]!, classes.length);
  let right = 0;
  labels[head].forEach((label, j) => {
    const name = head === "animal" ? set.animals[label] : head === "style" ? set.styles[label]!.style : undefined;
    right += Number(name === undefined ? likeliest[j] === label : classes[likeliest[j]!] === name);
  });
  return right / n;
}
