import type { Model } from "../models/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { sizeOf } from "../tensor/index.ts";
import { openPictureJudges } from "./picture-judges.ts";

/** What looks at samples in an evaluation: never the network that rewards them. */
export interface Judges {
  /** Feature vectors [n, size] of images [n, …imageShape]. */
  features(images: Float32Array): Promise<{ data: Float32Array; size: number }>;
  /** The same of a network by others, trained on other pictures. */
  thirdPartyFeatures?(images: Float32Array): Promise<{ data: Float32Array; size: number }>;
  /** 1 where an image shows what its prompt asks for, else 0. [n]; undefined for prompts that it cannot judge. */
  agreement?(images: Float32Array, prompts: readonly string[]): Promise<Float32Array | undefined>;
  /** Kernel of the distance to the pretrained model. */
  kernel: "polynomial" | "rbf";
}

/** Points of an exact world are their own features. */
export const pointJudges = (model: Model): Judges => ({
  features: async (points) => ({ data: points, size: sizeOf(model.imageShape) }),
  kernel: "rbf",
});

/** The judges that fit a model's samples. */
export const openJudges = async (runtime: Runtime, model: Model, block: number): Promise<Judges> =>
  model.prior ? pointJudges(model) : openPictureJudges(runtime, block, model.imageShape);
