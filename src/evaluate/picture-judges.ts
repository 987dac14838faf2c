import { SIDE } from "../data/index.ts";
import type { Runtime } from "../runtime/index.ts";
import {
  type FeatureNetwork,
  openAgreement,
  openFeatures,
  openThirdPartyFeatures,
} from "../sample/picture-networks.ts";
import { input, resize, type Shape, sizeOf } from "../tensor/index.ts";
import type { Judges } from "./judges.ts";

/**
 * The bundled feature networks, ours and a third party's, and the agreement classifier, of pictures [3, H, W]. The networks look at
 * 32×32: other pictures are brought to that size, antialiased.
 */
export async function openPictureJudges(
  runtime: Runtime,
  block: number,
  imageShape: Shape = [3, SIDE, SIDE],
): Promise<Judges> {
  const seen = await openSeen(runtime, block, imageShape);
  const own = await openFeatures(runtime, block);
  const thirdParty = await openThirdPartyFeatures(runtime, SIDE, block);
  const { knows, agrees } = await openAgreement(runtime, block);
  const featuresOf =
    ({ features, size }: FeatureNetwork) =>
    async (images: Float32Array) => ({ data: await features(await seen(images)), size });
  return {
    features: featuresOf(own),
    thirdPartyFeatures: featuresOf(thirdParty),
    agreement: async (images, prompts) => (knows(prompts) ? agrees(await seen(images), prompts) : undefined),
    kernel: "polynomial",
  };
}

/** What the networks see of pictures [n, …imageShape]: [n, 3, 32, 32]. */
async function openSeen(
  runtime: Runtime,
  block: number,
  imageShape: Shape,
): Promise<(images: Float32Array) => Promise<Float32Array>> {
  const [, height, width] = imageShape;
  if (height === SIDE && width === SIDE) return async (images) => images;
  const pictures = input("images", [block, ...imageShape]);
  const program = await runtime.compile({
    seen: resize(pictures, [SIDE, SIDE], { mode: "bilinear", antialias: true }),
  });
  const [given, taken] = [sizeOf(imageShape), 3 * SIDE ** 2];
  return async (images) => {
    const count = images.length / given;
    const result = new Float32Array(count * taken);
    for (let start = 0; start < count; start += block) {
      const used = Math.min(block, count - start);
      const chunk = new Float32Array(block * given);
      chunk.set(images.subarray(start * given, (start + used) * given));
      const { seen } = await program.run({ images: chunk });
      result.set(seen!.subarray(0, used * taken), start * taken);
    }
    return result;
  };
}
