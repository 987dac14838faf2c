import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError, Rng, ShapeError } from "../src/core/index.ts";
import { classInPrompt } from "../src/models/class-in-prompt.ts";
import { type ConvnetConfig, convnet, convnetSpecs, parseConvnetConfig } from "../src/models/convnet.ts";
import { loadConvnet, writeConvnet } from "../src/models/convnet-folder.ts";
import { asConstants, asInputs, initialize } from "../src/nn/index.ts";
import { promptScore, styleScore } from "../src/rewards/index.ts";
import type { Reward } from "../src/rewards/reward.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { openAgreement, openFeatures } from "../src/sample/picture-networks.ts";
import { evaluate, gradient, input, type Tensor } from "../src/tensor/index.ts";
import { centralDifference } from "./central-difference.ts";
import { relativeError, tolerances } from "./tolerances.ts";

const config = parseConvnetConfig({
  side: 8,
  widths: [2, 4, 6],
  features: 5,
  groups: 2,
  heads: { animal: ["cat", "dog", "bat"], style: ["flat", "glossy", "plain"] },
});
const weights = initialize(convnetSpecs(config), new Rng(3));
const B = 3;
const size = 3 * config.side ** 2;
const pictures = Float32Array.from(new Rng(4).uniform(B * size, { purpose: "test" }));
const images = input("images", [B, 3, config.side, config.side]);

const rows = (data: ArrayLike<number>, width: number) =>
  Array.from({ length: data.length / width }, (_, b) => Array.from(data).slice(b * width, (b + 1) * width));

describe("the network", () => {
  const params = asInputs(weights, "p/");
  const { features, logits } = convnet(params, config, images);
  const feeds = {
    images: pictures,
    ...Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [`p/${name}`, data])),
  };
  const probe = (x: Tensor) => x.mul(x).sum();
  const loss = probe(features).add(probe(logits.animal!)).add(logits.style!.logSoftmax().sum());

  test("gradients of pictures and parameters are central differences", () => {
    const names = [
      "stem.weight",
      "levels.0.down.bias",
      "levels.1.block.conv2.weight",
      "norm_out.weight",
      "heads.style.bias",
    ];
    const slopes = evaluate(gradient(loss, [images, ...names.map((name) => params[name]!)]), feeds);
    ["images", ...names.map((name) => `p/${name}`)].forEach((name, k) => {
      expect(relativeError([centralDifference(loss, feeds, name, 1)], [slopes[k]![1]!])).toBeLessThan(
        tolerances.gradient,
      );
      expect(slopes[k]![1]).not.toBe(0);
    });
  });

  test("permuting the pictures permutes the outputs", () => {
    const order = [2, 0, 1];
    const shuffled = Float32Array.from(order.flatMap((b) => [...pictures.subarray(b * size, (b + 1) * size)]));
    const before = evaluate([features, logits.animal!], feeds);
    const after = evaluate([features, logits.animal!], { ...feeds, images: shuffled });
    [5, 3].forEach((width, k) => {
      const expected = order.map((b) => rows(before[k]!, width)[b]!);
      expect(relativeError(after[k]!, expected.flat())).toBeLessThan(1e-12);
    });
  });

  test("pictures of another size are refused", () => {
    expect(() => convnet(params, config, input("images", [B, 3, 16, 16]))).toThrow(ShapeError);
  });

  test.each([
    [{ widths: [4, 8, 16, 32, 64] }, /divisible by 16 for 5 levels/],
    [{ widths: [2, 5] }, /5 is not divisible by groups = 2/],
    [{ heads: { animal: ["cat"] } }, /heads\.animal/],
    [{ widht: 3 }, /did you mean "widths"/],
  ])("%o is refused", (change, message) => {
    expect(() => parseConvnetConfig({ ...config, ...change })).toThrow(ConfigError);
    expect(() => parseConvnetConfig({ ...config, ...change })).toThrow(message);
  });
});

describe("a folder", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "convnet-"));
    await writeConvnet(dir, { config, weights });
  });
  afterAll(() => rm(dir, { recursive: true }));

  const graph = (reward: Reward, prompts: Tensor) => {
    if (!reward.differentiable) throw new Error("must be differentiable");
    return reward.score({ images, prompts });
  };

  test("gives back what was written, to half precision", async () => {
    const read = await loadConvnet(dir);
    expect(read.config).toEqual(config);
    for (const [name, { data }] of Object.entries(weights)) {
      expect(relativeError(read.weights[name]!.data, data)).toBeLessThan(2 ** -11);
    }
  });

  test("that is none, or with weights of another network, is refused", async () => {
    await expect(loadConvnet(join(dir, "nothing"))).rejects.toThrow(FormatError);
    const other: ConvnetConfig = { ...config, features: 7 };
    await writeConvnet(join(dir, "other"), { config: other, weights });
    await expect(loadConvnet(join(dir, "other"))).rejects.toThrow(/features\.weight is \[5,6\], not \[7,6\]/);
  });

  test("prompt-score is the log-probability of the animal that each picture's own prompt names", async () => {
    const reward = await promptScore({ path: dir }).load();
    if (!reward.differentiable || !reward.promptFeatures) throw new Error("needs prompt features");
    const score = graph(reward, input("prompts", [B, 3]));
    const of = (prompts: readonly string[]) => {
      const [values] = evaluate([score], { images: pictures, prompts: reward.promptFeatures!.of(prompts) });
      return Array.from(values!);
    };
    const { weights: halves } = await loadConvnet(dir);
    const [table] = evaluate([convnet(asConstants(halves), config, images).logits.animal!.logSoftmax()], {
      images: pictures,
    });
    expect(of(["a cat", "a glossy dog on blue", "a bat"])).toEqual(rows(table!, 3).map((row, b) => row[b]));

    const before = of(["a cat", "a cat", "a cat"]);
    const after = of(["a cat", "a dog", "a cat"]);
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
    expect(after[1]).not.toBe(before[1]);
  });

  test("style-score is the log-odds of the wanted styles, and the odds of the others are their inverse", async () => {
    const { weights: halves } = await loadConvnet(dir);
    const [p] = evaluate([convnet(asConstants(halves), config, images).logits.style!.softmax()], { images: pictures });
    const odds = rows(p!, 3).map(([, glossy]) => Math.log(glossy! / (1 - glossy!)));
    const scoresOf = async (styles: string[]) => {
      const [values] = evaluate([graph(await styleScore({ path: dir, styles }).load(), input("prompts", [B, 1]))], {
        images: pictures,
        prompts: new Float32Array(B),
      });
      return values!;
    };
    expect(relativeError(await scoresOf(["glossy"]), odds)).toBeLessThan(1e-9);
    expect(
      relativeError(
        await scoresOf(["flat", "plain"]),
        odds.map((r) => -r),
      ),
    ).toBeLessThan(1e-9);
    await expect(styleScore({ path: dir, styles: ["glosy"] }).load()).rejects.toThrow(/did you mean "glossy"/);
    await expect(styleScore({ path: dir, styles: ["flat", "glossy", "plain"] }).load()).rejects.toThrow(ConfigError);
  });

  test("run in blocks gives what one batch gives, and agreement is whether the likeliest animal is the asked one", async () => {
    const runtime = nodeRuntime({ threads: 1 });
    const [features, animal] = evaluate(
      (({ features: f, logits }) => [f, logits.animal!])(convnet(asConstants(weights), config, images)),
      { images: pictures },
    );
    const network = await openFeatures(runtime, 2, dir);
    expect(network.size).toBe(5);
    expect(relativeError(await network.features(pictures), features!)).toBeLessThan(2e-3); // half-precision weights
    const judge = await openAgreement(runtime, 2, dir);
    const likeliest = rows(animal!, 3).map((row) => config.heads.animal![row.indexOf(Math.max(...row))]!);
    const asked = likeliest.map((name, b) => (b === 1 ? (name === "cat" ? "a dog" : "a cat") : `a ${name}`));
    expect(Array.from(await judge.agrees(pictures, asked))).toEqual([1, 0, 1]);
    await Promise.all([network.release(), judge.release()]);
  });
});

test("the class of a prompt is the one name that stands in it as a word", () => {
  const classes = ["cat", "rat", "bat", "ant"];
  expect(classInPrompt("An ant on orange", classes)).toBe(3);
  expect(() => classInPrompt("a giant", classes)).toThrow(/names none\. Known: cat, rat, bat, ant/);
  expect(() => classInPrompt("a cat and a rat", classes)).toThrow(/names cat and rat/);
});
