import sharp from "sharp";
import { z } from "zod";
import { type EightBitPicture, eightBitPictures } from "./eight-bit.ts";
import { defineReward } from "./reward.ts";

/**
 * How well JPEG compresses a picture, looking at nothing else: r = −kB, or +kB where incompressible pictures are wanted
 * [black2024ddpo]. Unlike Pillow, which the paper's code calls, sharp optimises the Huffman tables: a few hundred bytes less.
 */
export const jpegSize = defineReward({
  kind: "jpeg-size",
  summary: "size of the picture as a JPEG file in kB, negative where small files are wanted; looks at no prompt",
  options: z.strictObject({
    quality: z.int().min(1).max(100).default(95).describe("quality of the JPEG encoder, 1 to 100"),
    sign: z.enum(["compressible", "incompressible"]).default("compressible").describe("which pictures score higher"),
  }),
  async host(input, { quality, sign }) {
    const bytes = await Promise.all(eightBitPictures("jpeg-size", input).map((one) => jpegBytes(one, quality)));
    const perByte = (sign === "compressible" ? -1 : 1) / 1000;
    return Float32Array.from(bytes, (count) => perByte * count);
  },
});

async function jpegBytes({ data, width, height }: EightBitPicture, quality: number): Promise<number> {
  return (
    await sharp(data, { raw: { width, height, channels: 3 } })
      .jpeg({ quality })
      .toBuffer()
  ).length;
}
