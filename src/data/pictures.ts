import { join } from "node:path";
import { z } from "zod";
import { readBounded, readBoundedText } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";
import { decodePng, type RasterImage } from "../images/index.ts";
import { BACKGROUNDS, oklabOf } from "./backgrounds.ts";

const indexSchema = z.strictObject({
  format: z.literal("nablaflow-pictures-1"),
  cell: z.literal(64),
  columns: z.int().positive(),
  animals: z.array(z.string()).nonempty(),
  styles: z.array(
    z.strictObject({
      style: z.string(),
      family: z.string(),
      split: z.enum(["train", "test"]),
      sheet: z.string().regex(/^[\w-]+\.png$/),
      source: z.string(),
      licence: z.string(),
    }),
  ),
  pictures: z.array(
    z.strictObject({
      animal: z.string(),
      style: z.string(),
      view: z.enum(["body", "face"]),
      cell: z.int().nonnegative(),
      icon: z.string(),
    }),
  ),
});

/** One design of the animals. Styles of a `family` are siblings by one maker and are never split between train and test. */
export type PictureStyle = z.infer<typeof indexSchema>["styles"][number];

export interface Picture {
  animal: string;
  label: number; // index of the animal in `animals`
  style: number; // index of the style in `styles`
  view: "body" | "face";
  icon: string;
  /**
   * Premultiplied RGBA in [0, 1], [64, 64, 4], averaged over 2×2 pixels: entry (x, y) is the mean of pixels x, x+1 and y, y+1.
   * Read bilinearly at about two pixels a step, this is close to an area filter for reduction to 32×32.
   */
  filtered: Float32Array;
  /** How far the rim of the drawing is from each background: mean OKLab distance, [BACKGROUNDS.length]. */
  contrast: Float32Array;
}

export interface PictureSet {
  animals: string[];
  styles: PictureStyle[];
  pictures: Picture[];
}

export const CELL = 64; // pixels

/** Loads a folder of sprite sheets with its index.json. Throws FormatError if the two do not agree. */
export async function loadPictures(dir: string): Promise<PictureSet> {
  const path = join(dir, "index.json");
  const parsed = indexSchema.safeParse(parseJson(await readBoundedText(path, "a picture index"), path));
  if (!parsed.success)
    throw new FormatError(`${path} is no picture index: ${z.prettifyError(parsed.error).slice(0, 1000)}`);
  const { animals, styles, columns, pictures } = parsed.data;
  const sheets = new Map<string, RasterImage>();
  for (const { sheet } of styles) {
    if (!sheets.has(sheet)) sheets.set(sheet, await readSheet(join(dir, sheet), path));
  }
  return {
    animals,
    styles,
    pictures: pictures.map(({ animal, style: styleName, view, cell, icon }) => {
      const label = animals.indexOf(animal);
      const style = styles.findIndex((candidate) => candidate.style === styleName);
      if (label < 0 || style < 0) {
        throw new FormatError(
          `${path} has a picture of ${shown(animal)} in ${shown(styleName)}, but does not list both names.`,
        );
      }
      const rgba = cutCell(sheets.get(styles[style]!.sheet)!, cell, columns, styles[style]!.sheet);
      return { animal, label, style, view, icon, filtered: filterPremultiplied(rgba), contrast: rimContrast(rgba) };
    }),
  };
}

/** The sheet that an index names. Throws FormatError when it cannot be read. */
async function readSheet(path: string, index: string): Promise<RasterImage> {
  const bytes = await readBounded(path, MAX_SHEET_BYTES, "a sheet of pictures").catch(
    (error: NodeJS.ErrnoException) => {
      if (error instanceof FormatError) throw error;
      throw new FormatError(`${index} names the sheet ${path}, which cannot be read (${error.code}).`);
    },
  );
  return decodePng(bytes);
}
const MAX_SHEET_BYTES = 2 ** 26; // a hundred times those of the bundled pictures

const shown = (name: string): string => JSON.stringify(name.slice(0, 100));

/** The same set with only the pictures of one split; indices of animals and styles stay. */
export function splitOf(set: PictureSet, split: PictureStyle["split"]): PictureSet {
  return { ...set, pictures: set.pictures.filter(({ style }) => set.styles[style]!.split === split) };
}

function cutCell(sheet: RasterImage, cell: number, columns: number, name: string): Uint8Array {
  const left = (cell % columns) * CELL;
  const top = Math.floor(cell / columns) * CELL;
  if (sheet.channels !== 4 || left + CELL > sheet.width || top + CELL > sheet.height) {
    throw new FormatError(
      `${name} (${sheet.width}×${sheet.height}, ${sheet.channels} channels) has no RGBA cell ${cell} in ${columns} columns of ${CELL} pixels.`,
    );
  }
  const rgba = new Uint8Array(CELL * CELL * 4);
  for (let y = 0; y < CELL; y++) {
    const from = ((top + y) * sheet.width + left) * 4;
    rgba.set(sheet.data.subarray(from, from + CELL * 4), y * CELL * 4);
  }
  return rgba;
}

function filterPremultiplied(rgba: Uint8Array): Float32Array {
  const filtered = new Float32Array(CELL * CELL * 4);
  for (let y = 0; y < CELL; y++) {
    for (let x = 0; x < CELL; x++) {
      const alpha = rgba[(y * CELL + x) * 4 + 3]! / 255;
      for (let channel = 0; channel < 4; channel++) {
        const value = channel === 3 ? alpha : (rgba[(y * CELL + x) * 4 + channel]! / 255) * alpha;
        for (const [dx, dy] of TWO_BY_TWO) {
          if (x >= dx && y >= dy) filtered[((y - dy) * CELL + x - dx) * 4 + channel]! += value / 4;
        }
      }
    }
  }
  return filtered;
}

const TWO_BY_TWO = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
] as const;

const RIM = 3; // pixels of a 64-pixel cell: about one and a half at 32×32

/** Mean OKLab distance between each background and the drawn pixels within RIM of the outside. */
function rimContrast(rgba: Uint8Array): Float32Array {
  const contrast = new Float32Array(BACKGROUNDS.length);
  const backgrounds = BACKGROUNDS.map(({ rgb: [red, green, blue] }) => oklabOf(red, green, blue));
  const isDrawn = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < CELL && y < CELL && rgba[(y * CELL + x) * 4 + 3]! >= 128;
  let count = 0;
  for (let y = 0; y < CELL; y++) {
    for (let x = 0; x < CELL; x++) {
      if (!isDrawn(x, y) || !isRim(x, y, isDrawn)) continue;
      const at = (y * CELL + x) * 4;
      const [lightness, a, b] = oklabOf(rgba[at]! / 255, rgba[at + 1]! / 255, rgba[at + 2]! / 255);
      backgrounds.forEach((background, i) => {
        contrast[i]! += Math.hypot(lightness - background[0], a - background[1], b - background[2]);
      });
      count++;
    }
  }
  return contrast.map((sum) => sum / count);
}

function isRim(x: number, y: number, isDrawn: (x: number, y: number) => boolean): boolean {
  for (let dy = -RIM; dy <= RIM; dy++) {
    for (let dx = -RIM; dx <= RIM; dx++) if (!isDrawn(x + dx, y + dy)) return true;
  }
  return false;
}
