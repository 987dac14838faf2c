import { ShapeError } from "../core/errors.ts";
import { encodePng } from "./png.ts";

/** A batch of RGB pictures in [0, 1]. */
export interface ImageBatch {
  images: Float32Array; // [B, 3, H, W]
  height: number;
  width: number;
}

export interface ContactSheetOptions {
  /** Pictures per row. Default: about as many as rows. */
  columns?: number;
  /** Whole number by which each pixel is repeated. Default 1. */
  scale?: number;
  /** Free pixels around each picture, after scaling. Default 2. */
  gap?: number;
}

/** Puts a batch into one PNG, row by row, on mid grey. Values outside [0, 1] are clipped. Throws ShapeError on a ragged batch. */
export async function contactSheet(batch: ImageBatch, options: ContactSheetOptions = {}): Promise<Uint8Array> {
  const { images, height, width } = batch;
  const area = height * width;
  const count = images.length / (3 * area);
  if (!Number.isInteger(count) || count === 0) {
    throw new ShapeError(
      `A contact sheet takes [B, 3, ${height}, ${width}] values, got ${images.length}, not a multiple of ${3 * area}.`,
    );
  }
  const { columns = Math.ceil(Math.sqrt(count)), scale = 1, gap = 2 } = options;
  const sheetWidth = columns * (width * scale + gap) + gap;
  const sheetHeight = Math.ceil(count / columns) * (height * scale + gap) + gap;
  const data = new Uint8Array(sheetWidth * sheetHeight * 3).fill(128);
  for (let at = 0; at < count; at++) {
    const left = (at % columns) * (width * scale + gap) + gap;
    const top = Math.floor(at / columns) * (height * scale + gap) + gap;
    for (let y = 0; y < height * scale; y++) {
      for (let x = 0; x < width * scale; x++) {
        const from = at * 3 * area + Math.floor(y / scale) * width + Math.floor(x / scale);
        const to = ((top + y) * sheetWidth + left + x) * 3;
        for (let channel = 0; channel < 3; channel++) data[to + channel] = byteOf(images[from + channel * area]!);
      }
    }
  }
  return encodePng({ width: sheetWidth, height: sheetHeight, channels: 3, data });
}

function byteOf(value: number): number {
  return Math.min(255, Math.max(0, Math.round(value * 255)));
}
