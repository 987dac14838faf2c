import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError, Rng, ShapeError } from "../src/core/index.ts";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { assetPath } from "../src/core/package-root.ts";
import { AUGMENT_UNIFORMS, augment, loadPictures, type Picture, SIDE } from "../src/data/index.ts";
import { diversity } from "../src/metrics/index.ts";
import {
  type MobileNetV2Config,
  mobilenetV2,
  mobilenetV2Output,
  mobilenetV2Specs,
  parseMobileNetV2Config,
} from "../src/models/mobilenet-v2.ts";
import { loadMobileNetV2 } from "../src/models/mobilenet-v2-folder.ts";
import { asConstants, asInputs, initialize } from "../src/nn/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { type FeatureNetwork, openThirdPartyFeatures } from "../src/sample/picture-networks.ts";
import { evaluate, gradient, input } from "../src/tensor/index.ts";
import { readSafetensorsFile } from "../src/weights/index.ts";
import { centralDifference } from "./central-difference.ts";
import { relativeError, tolerances } from "./tolerances.ts";

const bundled = assetPath("models/mobilenet-features");
const runtime = nodeRuntime({ threads: 1 });

const rms = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
const largest = (values: Float32Array) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

describe("the bundled network", () => {
  let config: MobileNetV2Config;
  let weights: NamedArrays;
  let golden: NamedArrays;
  beforeAll(async () => {
    ({ config, weights } = await loadMobileNetV2(bundled));
    golden = (await readSafetensorsFile(join(import.meta.dirname, "golden/mobilenet-v2.safetensors"))).tensors;
  });

  test.each([64, 224])("gives what TensorFlow.js gives at side %d, to its half-precision weights", async (side) => {
    const { shape, data } = golden[`side${side}`]!;
    const images = input("images", golden.pictures!.shape);
    const map = mobilenetV2(asConstants(weights), { ...config, side }, images);
    expect(map.shape).toEqual(shape);
    const program = await runtime.compile({ map });
    const found = (await program.run({ images: golden.pictures!.data })).map!;
    await program.release();
    const error = found.map((v, i) => v - data[i]!);
    expect(rms(error) / rms(data)).toBeLessThan(1e-2); // measured: 0.005 and 0.007; with float32 weights 4e-6
    expect(largest(error) / largest(data)).toBeLessThan(2e-2);
  });
});

describe("the network", () => {
  const config = parseMobileNetV2Config({
    side: 8,
    stem: 3,
    stages: [
      { expansion: 1, channels: 2, blocks: 1, stride: 1 },
      { expansion: 2, channels: 4, blocks: 2, stride: 2 },
    ],
  });
  const B = 2;
  const images = input("images", [B, 3, 4, 4]);

  test("gradients of pictures and parameters are central differences", () => {
    const weights = initialize(mobilenetV2Specs(config), new Rng(3));
    for (const [name, { data }] of Object.entries(weights)) {
      if (name.endsWith("bias")) data.fill(1); // between the two bounds of ReLU6
    }
    const params = asInputs(weights, "p/");
    const map = mobilenetV2(params, config, images);
    expect(map.shape).toEqual([B, ...mobilenetV2Output(config)]);
    const feeds = {
      images: Float32Array.from(new Rng(4).uniform(images.size, { purpose: "test" })),
      ...Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [`p/${name}`, data])),
    };
    const loss = map.mul(map).sum();
    const names = ["stem.weight", "stages.0.0.depthwise.weight", "stages.1.0.expand.bias", "stages.1.1.project.weight"];
    const slopes = evaluate(gradient(loss, [images, ...names.map((name) => params[name]!)]), feeds);
    ["images", ...names.map((name) => `p/${name}`)].forEach((name, k) => {
      expect(relativeError([centralDifference(loss, feeds, name, 1)], [slopes[k]![1]!], 1e-3), name).toBeLessThan(
        tolerances.gradient,
      );
      expect(slopes[k]![1], name).not.toBe(0);
    });
  });

  test("what is no picture, a side that does not halve, and weights of another network are refused", async () => {
    const params = asConstants(initialize(mobilenetV2Specs(config), new Rng(3)));
    expect(() => mobilenetV2(params, config, input("images", [B, 1, 4, 4]))).toThrow(ShapeError);
    expect(() => parseMobileNetV2Config({ ...config, side: 10 })).toThrow(ConfigError);
    expect(() => parseMobileNetV2Config({ ...config, side: 10 })).toThrow(/side.*divisible by 4/);
    await expect(loadMobileNetV2(join(bundled, "nothing"))).rejects.toThrow(FormatError);
  });
});

describe("its features", () => {
  const BLOCK = 16;
  let network: FeatureNetwork;
  let pictures: readonly Picture[];
  beforeAll(async () => {
    network = await openThirdPartyFeatures(runtime, SIDE, BLOCK);
    pictures = (await loadPictures(assetPath("pictures/animals-32"))).pictures;
  }, 120_000);
  afterAll(() => network.release());

  test("measure no diversity of one picture, some of its variants, more of an animal and most of all animals", async () => {
    const n = 24; // not a multiple of the block
    const drawn = 3 * SIDE ** 2;
    const of = async (choose: (j: number) => Picture, varied = true) => {
      const images = new Float32Array(n * drawn);
      for (let j = 0; j < n; j++) {
        const u = new Rng(7).uniform(AUGMENT_UNIFORMS, { purpose: "test", sample: varied ? j : 0 });
        augment(choose(j), u, images, j * drawn);
      }
      const data = await network.features(images);
      expect(data.length).toBe(n * network.size);
      return diversity({ data, size: network.size, prompts: new Array<string>(n).fill("") }).value;
    };
    const sums = { one: 0, variants: 0, animal: 0 };
    const animals = ["cat", "fish", "snake", "bee", "cow", "frog"];
    for (const name of animals) {
      const drawings = pictures.filter(({ animal }) => animal === name);
      sums.one += await of(() => drawings[0]!, false);
      sums.variants += await of(() => drawings[0]!);
      sums.animal += await of((j) => drawings[j % drawings.length]!);
    }
    const anything = await of((j) => pictures[(j * 37) % pictures.length]!);
    expect(sums.one).toBeCloseTo(0, 5);
    expect(sums.variants / animals.length).toBeGreaterThan(0.1);
    expect(sums.animal).toBeGreaterThan(1.2 * sums.variants);
    expect(anything).toBeGreaterThan((1.1 * sums.animal) / animals.length);
  });
});
