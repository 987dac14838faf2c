import { ShapeError } from "../core/errors.ts";
import { type Shape, showShape, sizeOf, type Tensor } from "../tensor/index.ts";

// The codec of pixel models: images [B,3,2h,2w] in [0,1] ↔ latents [B,12,h,w] in [−1,1]. It permutes pixels, so a law of
// images and its law of latents are the same up to an affine map, and the noise stays white.
const FACTOR = 2;

/** Moves 2×2 blocks of pixels to channels, in torch's order: [B,C,2h,2w] → [B,4C,h,w], channel 4c + 2·row + column. */
export function pixelUnshuffle(x: Tensor): Tensor {
  const [B, C, h, w] = unshuffledSizes("pixelUnshuffle", x.shape);
  return x
    .reshape([B, C, h, FACTOR, w, FACTOR])
    .transpose([0, 1, 3, 5, 2, 4])
    .reshape([B, C * FACTOR ** 2, h, w]);
}

/** The inverse of `pixelUnshuffle`: [B,4C,h,w] → [B,C,2h,2w]. */
export function pixelShuffle(x: Tensor): Tensor {
  const [B, D, h, w] = x.shape as [number, number, number, number];
  if (x.rank !== 4 || D % FACTOR ** 2 !== 0)
    throw new ShapeError(`pixelShuffle: x must be [B,4C,h,w], but ${showShape(x.shape)} came.`);
  const C = D / FACTOR ** 2;
  return x
    .reshape([B, C, FACTOR, FACTOR, h, w])
    .transpose([0, 1, 4, 2, 5, 3])
    .reshape([B, C, FACTOR * h, FACTOR * w]);
}

/** Images in [0,1] → latents in [−1,1]. */
export const encodeImages = (images: Tensor): Tensor => pixelUnshuffle(images.mul(2).sub(1));

/** Latents in [−1,1] → images in [0,1], not clamped. */
export const decodeLatents = (latents: Tensor): Tensor => pixelShuffle(latents).mul(0.5).add(0.5);

/** `encodeImages` on the host, for training data: images [B,C,2h,2w] of `shape` → latents [B,4C,h,w]. */
export function encodeImagesHost(images: Float32Array, shape: Shape): Float32Array {
  const [B, C, h, w] = unshuffledSizes("encodeImagesHost", shape);
  if (images.length !== sizeOf(shape)) {
    throw new ShapeError(
      `encodeImagesHost: ${showShape(shape)} needs ${sizeOf(shape)} values, but ${images.length} came.`,
    );
  }
  const latents = new Float32Array(images.length);
  let to = 0;
  for (let plane = 0; plane < B * C; plane++)
    for (let row = 0; row < FACTOR; row++)
      for (let column = 0; column < FACTOR; column++)
        for (let i = 0; i < h; i++)
          for (let j = 0; j < w; j++) {
            const from = ((plane * h + i) * FACTOR + row) * w * FACTOR + j * FACTOR + column;
            latents[to++] = 2 * images[from]! - 1;
          }
  return latents;
}

function unshuffledSizes(who: string, shape: Shape): [B: number, C: number, h: number, w: number] {
  const [B, C, H, W] = shape as [number, number, number, number];
  if (shape.length !== 4 || H % FACTOR !== 0 || W % FACTOR !== 0)
    throw new ShapeError(`${who}: images must be [B,C,H,W] with even H and W, but ${showShape(shape)} came.`);
  return [B, C, H / FACTOR, W / FACTOR];
}
