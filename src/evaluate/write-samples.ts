import { join } from "node:path";
import { contactSheet } from "../images/index.ts";
import { writeFileAtomic, writeJsonAtomic } from "../run/index.ts";
import { type Shape, sizeOf } from "../tensor/index.ts";
import { samplePng } from "./sample-pairs.ts";

/** Samples of prompts, `count` of each, prompt by prompt. */
export interface Samples {
  /** [n, …shape] */
  images: Float32Array;
  shape: Shape;
  /** [n] */
  prompts: readonly string[];
  seed: number;
  count: number;
  /** The number of each sample under the seed; default: its place. */
  numbers?: readonly number[] | undefined;
  rewards?: Float32Array | undefined;
}

/** A file that was written, relative to its folder. */
export interface SampleFile {
  file: string;
  prompt?: string;
  /** Seed and number of the sample under it. */
  seed?: string;
  reward?: number;
}

/** Pixels that the shorter side of a picture has on the contact sheet, at least. */
const SHEET_SIDE = 96;

/** Writes a PNG for each image, with prompt, seed and reward as text, and contact-sheet.png with a row for each prompt. */
export async function writePictures(folder: string, samples: Samples): Promise<SampleFile[]> {
  const { images, shape, prompts, seed, count, numbers, rewards } = samples;
  const [, height, width] = shape as [number, number, number];
  const size = sizeOf(shape);
  const files: SampleFile[] = [];
  for (const [k, prompt] of prompts.entries()) {
    const reward = rewards?.[k];
    const entry = { prompt, seed: `${seed}/${numbers?.[k] ?? k}` };
    const file = `${String(k).padStart(4, "0")}-${slug(prompt)}.png`;
    const image = images.subarray(k * size, (k + 1) * size);
    await writeFileAtomic(join(folder, file), [await samplePng(image, height, width, { ...entry, reward })]);
    files.push({ file, ...entry, ...(reward !== undefined && { reward }) });
  }
  const scale = Math.max(1, Math.ceil(SHEET_SIDE / Math.min(height, width)));
  const sheet = await contactSheet({ images, height, width }, { columns: count, scale });
  await writeFileAtomic(join(folder, "contact-sheet.png"), [sheet]);
  return [...files, { file: "contact-sheet.png" }];
}

/** Writes points.json: the points of each prompt of an exact world, `{ prompt: [[x, y, …], …] }`. */
export async function writePoints(folder: string, { images, shape, prompts }: Samples): Promise<SampleFile[]> {
  const size = sizeOf(shape);
  const points: Record<string, number[][]> = {};
  for (const [k, prompt] of prompts.entries()) {
    points[prompt] ??= [];
    points[prompt].push([...images.subarray(k * size, (k + 1) * size)]);
  }
  await writeJsonAtomic(join(folder, "points.json"), points);
  return [{ file: "points.json" }];
}

/** "a glossy fox on blue" → "a-glossy-fox-on-blue" */
function slug(prompt: string): string {
  const words = prompt.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return words.replace(/^-|-$/g, "").slice(0, 40) || "no-prompt";
}
