import { NonFiniteError, ShapeError } from "../core/errors.ts";
import { rgbBytes } from "../core/rgb-bytes.ts";
import type { HostRewardInput } from "./reward.ts";

/** One picture as a file of 8 bits holds it. */
export interface EightBitPicture {
  height: number;
  width: number;
  data: Uint8Array; // [H, W, 3]
}

/**
 * Pictures [B, 3, H, W] in [0, 1] as 8-bit RGB, values outside clipped. Throws ShapeError for what is no picture and
 * NonFiniteError for a pixel that is no number; `kind` is the reward that asks.
 */
export function eightBitPictures(kind: string, { images, shape }: HostRewardInput): EightBitPicture[] {
  const [count, channels, height, width] = shape as [number, number, number, number];
  if (shape.length !== 4 || channels !== 3) {
    throw new ShapeError(
      `${kind}: pictures [B, 3, H, W] are scored, but [${shape.join(", ")}] came. Use a model of pictures.`,
    );
  }
  const plane = height * width;
  if (images.length !== count * 3 * plane) {
    throw new ShapeError(`${kind}: [${shape.join(", ")}] has ${count * 3 * plane} values, but ${images.length} came.`);
  }
  return Array.from({ length: count }, (_, b) => {
    const image = images.subarray(b * 3 * plane, (b + 1) * 3 * plane);
    const bad = image.find((value) => !Number.isFinite(value));
    if (bad !== undefined)
      throw new NonFiniteError(`${kind}: picture ${b} has a pixel that is ${bad}. The policy has diverged.`);
    return { height, width, data: rgbBytes(image) };
  });
}
