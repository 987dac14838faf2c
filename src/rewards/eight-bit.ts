import { NonFiniteError, ShapeError } from "../core/errors.ts";
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
    const data = new Uint8Array(3 * plane);
    for (let p = 0; p < plane; p++) {
      for (let c = 0; c < 3; c++) {
        const value = images[(3 * b + c) * plane + p]!;
        if (!Number.isFinite(value)) {
          throw new NonFiniteError(`${kind}: picture ${b} has a pixel that is ${value}. The policy has diverged.`);
        }
        data[3 * p + c] = Math.round(255 * Math.min(1, Math.max(0, value)));
      }
    }
    return { height, width, data };
  });
}
