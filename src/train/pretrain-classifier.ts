import { ConfigError } from "../core/errors.ts";
import { Rng } from "../core/rng.ts";
import { BACKGROUNDS, type LabelName, labelledBatch, type PictureSet, SIDE } from "../data/index.ts";
import { type ConvnetConfig, convnet, convnetSpecs, parseConvnetConfig } from "../models/convnet.ts";
import { initialize } from "../nn/index.ts";
import { input, type Tensor } from "../tensor/index.ts";
import type { NetworkTask } from "./network-loop.ts";
import type { ClassifierConfig } from "./pretrain-config.ts";

/** The network that a classifier configuration describes: its heads tell apart what the picture set names. */
export function classifierNetwork({ network, heads }: ClassifierConfig, set: PictureSet): ConvnetConfig {
  const names = labelNames(set);
  const styles = new Set(set.pictures.map(({ style }) => names.style[style]!));
  const classes = { ...names, style: names.style.filter((name) => styles.has(name)) };
  const chosen = (Object.keys(heads) as LabelName[]).map((head) => [head, classes[head]]);
  return parseConvnetConfig({ ...network, side: SIDE, heads: Object.fromEntries(chosen) });
}

/** What the labels of a batch stand for. */
const labelNames = (set: PictureSet): Record<LabelName, readonly string[]> => ({
  animal: set.animals,
  style: set.styles.map(({ style }) => style),
  background: BACKGROUNDS.map(({ name }) => name),
});

/**
 * Classification of augmented clean pictures: Σ_heads weight · cross-entropy with smoothed labels,
 * (1 − s)·[k = label] + s/K over K classes; a picture without a label adds nothing to that head.
 */
export function classifierTask(config: ClassifierConfig, set: PictureSet): NetworkTask {
  const network = classifierNetwork(config, set);
  for (const animal of config.heldOutAnimals) {
    if (!set.animals.includes(animal)) {
      throw new ConfigError(`heldOutAnimals: "${animal}" is not among the pictures. Known: ${set.animals.join(", ")}.`);
    }
  }
  const names = labelNames(set);
  const shown = { ...set, pictures: set.pictures.filter(({ animal }) => !config.heldOutAnimals.includes(animal)) };
  const { batch } = config.train;
  const rng = new Rng(config.train.seed);
  const heads = Object.entries(network.heads);

  return {
    params: initialize(convnetSpecs(network), rng),
    losses(params) {
      const { logits } = convnet(params, network, input("images", [batch, 3, SIDE, SIDE]));
      const parts = heads.map(([name, classes]) => {
        const target = input(`target.${name}`, [batch, classes.length]);
        return [
          name,
          logits[name]!.logSoftmax()
            .mul(target)
            .sum()
            .mul(-1 / batch),
        ] as const;
      });
      const loss = parts.map(([name, part]) => part.mul(config.heads[name as LabelName]!)).reduce((a, b) => a.add(b));
      return { loss, ...(parts.length > 1 && Object.fromEntries(parts)) } as { loss: Tensor };
    },
    feeds(update) {
      const { images, labels } = labelledBatch(shown, rng, update, batch, config.balance, config.augmentation);
      const targets = heads.map(([name, classes]) => {
        const head = name as LabelName;
        const indices = labels[head].map((label) => classes.indexOf(names[head][label] ?? ""));
        return [`target.${name}`, smoothedLabels(indices, classes.length, config.labelSmoothing)];
      });
      return { images, ...Object.fromEntries(targets) };
    },
  };
}

/** [B, K]: (1 − s)·[k = label] + s/K; zeros where the label is negative. */
function smoothedLabels(labels: Int32Array, K: number, s: number): Float32Array {
  return Float32Array.from({ length: labels.length * K }, (_, i) => {
    const label = labels[Math.floor(i / K)]!;
    return label < 0 ? 0 : s / K + (i % K === label ? 1 - s : 0);
  });
}
