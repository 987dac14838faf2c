import { beforeAll, describe, expect, test } from "vitest";
import { readConfigFile } from "../src/core/config.ts";
import { assetPath } from "../src/core/package-root.ts";
import { Rng } from "../src/core/rng.ts";
import {
  labelledBatch,
  loadPictures,
  type PictureSet,
  plainClassifierAugmentation as plain,
  promptOf,
  splitOf,
} from "../src/data/index.ts";
import { classAccuracy } from "../src/evaluate/class-test.ts";
import { testStyleScore } from "../src/evaluate/style-test.ts";
import { diversity } from "../src/metrics/index.ts";
import { loadConvnet } from "../src/models/convnet-folder.ts";
import { promptScore, styleScore } from "../src/rewards/index.ts";
import type { Reward } from "../src/rewards/reward.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { openAgreement, openConvnet, openFeatures, openPictureProgram } from "../src/sample/picture-networks.ts";
import { fill, input } from "../src/tensor/index.ts";
import { type ClassifierConfig, resolvePretrainConfig } from "../src/train/pretrain-config.ts";

// The bounds are requirements on the shipped weights; the cards beside them state what was measured.

const runtime = nodeRuntime({ threads: 1 });
const BLOCK = 32;
const SEED = 77; // no training uses it
let train: PictureSet;
let unseenStyles: PictureSet;
beforeAll(async () => {
  const set = await loadPictures(assetPath("pictures/animals-32"));
  train = splitOf(set, "train");
  unseenStyles = splitOf(set, "test");
}, 60_000);

const graphOf = async (loading: Promise<Reward>) => {
  const reward = await loading;
  if (!reward.differentiable) throw new Error("must be differentiable");
  return reward;
};

describe("style-score", () => {
  test("tells the style on animals it never saw, and changes little with background, hue and mirroring", async () => {
    const config = resolvePretrainConfig(await readConfigFile("configs/style-score.yaml"), [], "") as ClassifierConfig;
    const heldOut = {
      ...train,
      pictures: train.pictures.filter(({ animal }) => config.heldOutAnimals.includes(animal)),
    };
    const reward = await graphOf(styleScore({}).load());
    const program = await openPictureProgram(
      runtime,
      (images) => ({ score: reward.score({ images, prompts: fill([BLOCK, 1], 0) }) }),
      32,
      BLOCK,
    );
    const score = async (images: Float32Array) => (await program.run(images)).score!;
    const result = await testStyleScore(score, heldOut, ["fluent-emoji"], { seed: SEED, augmented: 600 });
    expect(result.auc).toBeGreaterThan(0.9);
    expect(result.aucAllStyles).toBeGreaterThan(0.9); // against the flat sibling too
    expect(result.gap).toBeGreaterThan(0);
    for (const share of Object.values(result.change)) expect(share).toBeLessThan(0.25);
    await program.release();
  });
});

describe("prompt-score", () => {
  test("a picture scores higher under its own prompt than under another one", async () => {
    const reward = await graphOf(promptScore({}).load());
    const n = 320;
    const { images, labels } = labelledBatch(train, new Rng(SEED), 0, n, "animal", plain);
    const prompts = (shift: number) =>
      Array.from(labels.animal, (label) => promptOf(train.animals[(label + shift) % train.animals.length]!));
    const pictures = input("images", [n, 3, 32, 32]);
    const features = input("prompts", [n, reward.promptFeatures!.size]);
    const program = await runtime.compile({ score: reward.score({ images: pictures, prompts: features }) });
    const score = async (asked: readonly string[]) =>
      (await program.run({ images, prompts: reward.promptFeatures!.of(asked) })).score!.slice();
    const [own, other] = [await score(prompts(0)), await score(prompts(7))];
    expect(own.every((value) => value <= 0 && value > -12)).toBe(true);
    expect(own.filter((value, b) => value > other[b]!).length / n).toBeGreaterThan(0.98);
    await program.release();
  });
});

describe("agreement", () => {
  test("finds the animal of pictures in known styles, softened or not, and of many in styles it never saw", async () => {
    const network = await openAgreement(runtime, BLOCK);
    const share = async (set: PictureSet, softStd: number) => {
      const { images, labels } = labelledBatch(set, new Rng(SEED), 0, 512, "animal", {
        ...plain,
        softShare: 1,
        softStd,
      });
      const agrees = await network.agrees(
        images,
        Array.from(labels.animal, (label) => promptOf(set.animals[label]!)),
      );
      return agrees.reduce((sum, value) => sum + value, 0) / 512;
    };
    expect(await share(train, 0)).toBeGreaterThan(0.95);
    expect(await share(train, 1)).toBeGreaterThan(0.95);
    expect(await share(unseenStyles, 0)).toBeGreaterThan(0.4); // chance: 0.022
    await network.release();
  });
});

describe("features", () => {
  test("know animal, style and background", async () => {
    const loaded = await loadConvnet(assetPath("models/features"));
    const network = await openConvnet(runtime, loaded, BLOCK);
    for (const head of ["animal", "style", "background"] as const) {
      const classes = loaded.config.heads[head]!;
      const options = { seed: SEED, n: 512, augmentation: plain };
      expect(await classAccuracy(network, head, classes, train, options), head).toBeGreaterThan(0.85);
    }
    await network.release();
  });

  test("measure more diversity among all pictures of an animal than among copies of one, and more among animals", async () => {
    const network = await openFeatures(runtime, BLOCK);
    const of = async (set: PictureSet) => {
      const { images } = labelledBatch(set, new Rng(SEED), 0, 128, "animal", plain);
      const data = await network.features(images);
      return diversity({ data, size: network.size, prompts: new Array<string>(128).fill("") }).value;
    };
    const cats = train.pictures.filter(({ animal }) => animal === "cat");
    const copies = await of({ ...train, pictures: cats.slice(0, 1) });
    const anyCat = await of({ ...train, pictures: cats });
    const anything = await of(train);
    expect(copies).toBeGreaterThan(0);
    expect(anyCat).toBeGreaterThan(1.5 * copies);
    expect(anything).toBeGreaterThan(1.5 * anyCat);
    await network.release();
  });
});
