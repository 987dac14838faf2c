import { beforeAll, describe, expect, test } from "vitest";
import { readConfigFile } from "../src/core/config.ts";
import { ConfigError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import {
  BACKGROUNDS,
  labelledBatch,
  loadPictures,
  type PictureSet,
  plainClassifierAugmentation,
} from "../src/data/index.ts";
import { soften } from "../src/data/soften.ts";
import { auc } from "../src/evaluate/auc.ts";
import { asInputs } from "../src/nn/index.ts";
import { classifierNetwork, classifierTask } from "../src/train/pretrain-classifier.ts";
import { type ClassifierConfig, resolvePretrainConfig } from "../src/train/pretrain-config.ts";

let set: PictureSet;
beforeAll(async () => {
  set = await loadPictures("assets/pictures/animals-32");
}, 60_000);
const size = 3 * 32 * 32;

describe("a labelled batch", () => {
  const any = { ...plainClassifierAugmentation, anyColourShare: 0.5, groundSlope: 0.3, softShare: 0.5, softStd: 1 };

  test("sample k is the same whatever the batch size, and a named background is the colour of the corner", () => {
    const large = labelledBatch(set, new Rng(1), 5, 12, "animal", any);
    const small = labelledBatch(set, new Rng(1), 5, 4, "animal", any);
    expect(small.images).toEqual(large.images.subarray(0, 4 * size));
    expect(small.labels.animal).toEqual(large.labels.animal.subarray(0, 4));
    expect(new Set(large.labels.background).has(-1)).toBe(true);

    const plain = labelledBatch(set, new Rng(1), 5, 12, "animal", { ...any, groundSlope: 0, softShare: 0 });
    plain.labels.background.forEach((background, b) => {
      const corner = [0, 1, 2].map((channel) => plain.images[b * size + channel * 1024]!);
      if (background >= 0) expect(corner).toEqual(BACKGROUNDS[background]!.rgb.map(Math.fround));
    });
  });

  test("styles are drawn equally often when balanced by style, though they have unlike numbers of pictures", () => {
    const n = 1400;
    const { labels } = labelledBatch(set, new Rng(2), 0, n, "style", { ...any, softShare: 0 });
    const counts = set.styles.map((_, k) => labels.style.filter((style) => style === k).length);
    for (const count of counts) expect(Math.abs(count - 200)).toBeLessThan(4 * Math.sqrt((n * 6) / 49)); // 4 std
  });
});

describe("softening", () => {
  test("keeps a constant picture, and spreads a point to the stated variance", () => {
    const constant = new Float32Array(3 * 64).fill(0.25);
    soften(constant, 8, 0.9);
    expect(Array.from(constant)).toEqual(new Array(192).fill(0.25));

    const point = new Float32Array(81);
    point[4 * 9 + 4] = 1;
    soften(point, 9, 0.8);
    const variance = point.reduce((sum, v, i) => sum + v * ((i % 9) - 4) ** 2, 0);
    expect(variance).toBeCloseTo(0.64, 5); // float32 sums
    expect(point.reduce((sum, v) => sum + v, 0)).toBeCloseTo(1, 5);
  });
});

describe("the shipped configurations", () => {
  const resolve = async (name: string, override: string[] = []) =>
    resolvePretrainConfig(await readConfigFile(`configs/${name}.yaml`), override, name) as ClassifierConfig;

  test.each(["style-score", "prompt-score", "agreement", "features"])(
    "%s describes a network and its targets",
    async (name) => {
      const config = await resolve(name, ["train.batch=4"]);
      const training = { ...set, pictures: set.pictures.filter(({ style }) => set.styles[style]!.split === "train") };
      const { heads } = classifierNetwork(config, training);
      const task = classifierTask(config, training);
      const feeds = task.feeds(0);
      expect(task.losses(asInputs(task.params, "p/")).loss).toBeDefined();
      for (const [head, classes] of Object.entries(heads)) {
        const target = feeds[`target.${head}`] as Float32Array;
        expect(target).toHaveLength(4 * classes.length);
        for (let b = 0; b < 4; b++) {
          const total = target.subarray(b * classes.length, (b + 1) * classes.length).reduce((p, q) => p + q, 0);
          expect(Math.abs(total * (total - 1))).toBeLessThan(1e-5); // probabilities, or no label
        }
      }
      expect(heads.style?.includes("twemoji")).not.toBe(true);
    },
  );

  test("no two are trained with one seed", async () => {
    const names = ["style-score", "prompt-score", "agreement", "features"];
    const seeds = await Promise.all(names.map(async (name) => (await resolve(name)).train.seed));
    expect(new Set(seeds).size).toBe(4);
  });

  test("a misspelt key, an unknown task and an unknown animal are refused", async () => {
    await expect(resolve("features", ["labelSmothing=0.2"])).rejects.toThrow(/did you mean "labelSmoothing"/);
    await expect(resolve("features", ["task=regressor"])).rejects.toThrow(/"denoiser" or "classifier"/);
    const config = await resolve("style-score", ["heldOutAnimals=[unicorn]"]);
    expect(() => classifierTask(config, set)).toThrow(ConfigError);
  });
});

test("auc is the share of pairs in the right order, ties counting half", () => {
  const positives = [3, 1, 2, 2];
  const negatives = [0, 2, 2.5, 1, 1];
  const pairs = positives.flatMap((p) => negatives.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
  expect(auc(positives, negatives)).toBeCloseTo(pairs.reduce((a: number, b) => a + b, 0) / pairs.length, 12);
});
