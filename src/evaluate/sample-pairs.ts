import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { rgbBytes } from "../core/rgb-bytes.ts";
import { contactSheet, encodePng, insertPngText } from "../images/index.ts";
import { writeFileAtomic, writeJsonAtomic } from "../run/index.ts";
import type { Shape } from "../tensor/index.ts";
import { sizeOf } from "../tensor/index.ts";
import type { Measured } from "./measure.ts";

/** Pictures kept of each prompt. */
const perPrompt = 4;

/**
 * Writes the same prompts and noise before and after training: single PNGs with prompt, seed and reward in their text
 * chunks, `samples/index.json`, and a contact sheet of each model.
 */
export async function writePairs(
  run: string,
  before: Measured,
  after: Measured,
  shape: Shape,
  seed: number,
): Promise<void> {
  const folder = join(run, "samples");
  await mkdir(folder, { recursive: true });
  const [, height, width] = shape as [number, number, number];
  const shown = indicesToShow(before.prompts);
  const size = sizeOf(shape);
  const index = [];
  for (const [name, measured] of [
    ["before", before],
    ["after", after],
  ] as const) {
    const images = new Float32Array(shown.length * size);
    shown.forEach((k, j) => {
      images.set(measured.images.subarray(k * size, (k + 1) * size), j * size);
    });
    await writeFileAtomic(join(folder, `${name}.png`), [
      await contactSheet({ images, height, width }, { columns: perPrompt * 4 }),
    ]);
  }
  for (const k of shown) {
    const entry = { prompt: before.prompts[k]!, seed: `${seed}/${k}` };
    const shots: Record<string, { file: string; reward: number }> = {};
    for (const [name, measured] of [
      ["before", before],
      ["after", after],
    ] as const) {
      const file = `${name}-${String(k).padStart(4, "0")}.png`;
      const reward = measured.rewards[k]!;
      const image = measured.images.subarray(k * size, (k + 1) * size);
      await writeFileAtomic(join(folder, file), [await samplePng(image, height, width, { ...entry, reward })]);
      shots[name] = { file, reward };
    }
    index.push({ ...entry, ...shots });
  }
  await writeJsonAtomic(join(folder, "index.json"), index);
}

/** The first pictures of each prompt. */
function indicesToShow(prompts: readonly string[]): number[] {
  const seen = new Map<string, number>();
  return prompts.flatMap((prompt, k) => {
    const count = seen.get(prompt) ?? 0;
    seen.set(prompt, count + 1);
    return count < perPrompt ? [k] : [];
  });
}

/** What a sample's PNG says in its text chunks. */
export interface SampleText {
  prompt: string;
  seed: string;
  reward?: number | undefined;
}

/** A [3, H, W] image in [0, 1] as PNG with its prompt, seed and reward as text; values outside are clamped. */
export async function samplePng(
  image: Float32Array,
  height: number,
  width: number,
  { reward, ...said }: SampleText,
): Promise<Uint8Array> {
  const png = await encodePng({ width, height, channels: 3, data: rgbBytes(image) });
  return insertPngText(png, { ...said, ...(reward !== undefined && { reward: JSON.stringify({ reward }) }) });
}
