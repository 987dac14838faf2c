import sharp from "sharp";
import { FormatError, ShapeError } from "../core/errors.ts";
import { readPngChunks } from "./png-chunks.ts";

/** 8-bit pixels, row by row from the top left, channels interleaved: RGB or RGBA (straight alpha). */
export interface RasterImage {
  width: number;
  height: number;
  channels: 3 | 4;
  data: Uint8Array; // [height, width, channels]
}

const MAX_PIXELS = 2 ** 26; // 8192 × 8192; a few hundred kB of PNG can unpack to gigabytes

/** Decodes a PNG to 8-bit RGB or RGBA (grey and palettes are expanded, 16 bits reduced to 8). Throws FormatError if `bytes` is no whole PNG. */
export async function decodePng(bytes: Uint8Array): Promise<RasterImage> {
  readPngChunks(bytes);
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: MAX_PIXELS })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return {
      width: info.width,
      height: info.height,
      channels: info.channels === 4 ? 4 : 3,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    };
  } catch (cause) {
    throw new FormatError(`This PNG cannot be decoded: ${(cause as Error).message}. Save it again with another tool.`, {
      cause,
    });
  }
}

/** Encodes 8-bit pixels as PNG. Throws ShapeError if `data` does not hold height × width × channels values. */
export async function encodePng({ width, height, channels, data }: RasterImage): Promise<Uint8Array> {
  if (data.length !== width * height * channels) {
    throw new ShapeError(
      `A ${width}×${height} picture with ${channels} channels has ${width * height * channels} values, got ${data.length}.`,
    );
  }
  const png = await sharp(data, { raw: { width, height, channels } }).png({ compressionLevel: 9 }).toBuffer();
  return new Uint8Array(png.buffer, png.byteOffset, png.byteLength);
}
