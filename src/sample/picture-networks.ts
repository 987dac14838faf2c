import { ConfigError } from "../core/errors.ts";
import { assetPath } from "../core/package-root.ts";
import { classesInPrompt, classInPrompt } from "../models/class-in-prompt.ts";
import { convnet } from "../models/convnet.ts";
import { type Convnet, loadConvnet } from "../models/convnet-folder.ts";
import { mobilenetV2, mobilenetV2Output } from "../models/mobilenet-v2.ts";
import { loadMobileNetV2 } from "../models/mobilenet-v2-folder.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { input, type Tensor } from "../tensor/index.ts";

/** A compiled function of pictures [N, 3, side, side] in [0, 1], run in fixed-size blocks. */
export interface PictureProgram {
  /** Outputs by name, [N, …]. */
  run(images: Float32Array): Promise<Record<string, Float32Array>>;
  release(): Promise<void>;
}

/** Compiles what `build` makes of `block` pictures at a time: outputs [block, …], each row made from its picture alone. */
export async function openPictureProgram(
  runtime: Runtime,
  build: (images: Tensor) => Readonly<Record<string, Tensor>>,
  side: number,
  block: number,
): Promise<PictureProgram> {
  const outputs = build(input("images", [block, 3, side, side]));
  const program = await runtime.compile(outputs);
  const size = 3 * side ** 2;
  const widths = Object.entries(outputs).map(([name, tensor]) => [name, tensor.size / block] as const);
  return {
    async run(images) {
      const n = images.length / size;
      const results = Object.fromEntries(widths.map(([name, width]) => [name, new Float32Array(n * width)]));
      for (let start = 0; start < n; start += block) {
        const count = Math.min(block, n - start);
        const chunk = new Float32Array(block * size);
        chunk.set(images.subarray(start * size, (start + count) * size));
        const values = await program.run({ images: chunk });
        for (const [name, width] of widths) results[name]!.set(values[name]!.subarray(0, count * width), start * width);
      }
      return results;
    },
    release: () => program.release(),
  };
}

/** Compiles the features and all heads of a classifier: outputs `features` and the logits of each head by its name. */
export const openConvnet = (runtime: Runtime, { config, weights }: Convnet, block: number): Promise<PictureProgram> =>
  openPictureProgram(
    runtime,
    (images) => {
      const { features, logits } = convnet(asConstants(weights), config, images);
      return { features, ...logits };
    },
    config.side,
    block,
  );

/** A network of the metrics, which makes a vector of what a picture shows. */
export interface FeatureNetwork {
  readonly size: number;
  /** images [N, 3, side, side] in [0, 1] → [N, size]. */
  features(images: Float32Array): Promise<Float32Array>;
  release(): Promise<void>;
}

/** Our own features: which animal, style and background a picture has. */
export async function openFeatures(
  runtime: Runtime,
  block: number,
  path = assetPath("models/features"),
): Promise<FeatureNetwork> {
  const loaded = await loadConvnet(path);
  const network = await openConvnet(runtime, loaded, block);
  return {
    size: loaded.config.features,
    features: async (images) => (await network.run(images)).features!,
    release: network.release,
  };
}

/** MobileNetV2's features at every position in a row, of pictures with the given side: the network was trained by others. */
export async function openThirdPartyFeatures(
  runtime: Runtime,
  side: number,
  block: number,
  path = assetPath("models/mobilenet-features"),
): Promise<FeatureNetwork> {
  const { config, weights } = await loadMobileNetV2(path);
  const build = (images: Tensor) => ({ features: mobilenetV2(asConstants(weights), config, images) });
  const network = await openPictureProgram(runtime, build, side, block);
  const [channels, height, width] = mobilenetV2Output(config);
  return {
    size: channels * height * width,
    features: async (images) => (await network.run(images)).features!,
    release: network.release,
  };
}

/** The classifier behind `promptAgreement`. */
export interface AgreementNetwork {
  /** Whether every prompt names one of the animals that it knows. */
  knows(prompts: readonly string[]): boolean;
  /** images [N, 3, 32, 32] and their prompts → [N]: 1 where the likeliest animal is the one the prompt names, else 0. */
  agrees(images: Float32Array, prompts: readonly string[]): Promise<Float32Array>;
  release(): Promise<void>;
}

export async function openAgreement(
  runtime: Runtime,
  block: number,
  path = assetPath("models/agreement"),
): Promise<AgreementNetwork> {
  const loaded = await loadConvnet(path);
  const classes = loaded.config.heads.animal;
  if (!classes) throw new ConfigError(`Agreement needs a classifier with a head "animal", but ${path} has none.`);
  const network = await openConvnet(runtime, loaded, block);
  return {
    knows: (prompts) => prompts.every((prompt) => classesInPrompt(prompt, classes).length === 1),
    async agrees(images, prompts) {
      const asked = prompts.map((prompt) => classInPrompt(prompt, classes));
      const { animal } = await network.run(images);
      const likeliest = argmaxRows(animal!, classes.length);
      return Float32Array.from(asked, (label, b) => Number(likeliest[b] === label));
    },
    release: network.release,
  };
}

/** Index of the largest of each row of [N, K]. */
export function argmaxRows(values: Float32Array, K: number): Int32Array {
  return Int32Array.from({ length: values.length / K }, (_, row) => {
    const scores = values.subarray(row * K, (row + 1) * K);
    return scores.indexOf(scores.reduce((a, b) => Math.max(a, b)));
  });
}
