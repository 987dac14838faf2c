import { readFile } from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { z } from "zod";
import { decodePng } from "../images/index.ts";
import { readJson } from "./read-json.ts";

/** A picture with its reward. */
export interface Shot {
  /** As a data: address. */
  source: string;
  width: number;
  height: number;
  reward: number;
}

/** The same prompt and the same noise, before and after training. */
export interface Pair {
  prompt: string;
  seed: number | string;
  before: Shot;
  after: Shot;
}

/** Points of a two-dimensional world. */
export type Points = readonly (readonly [x: number, y: number])[];

export interface Samples {
  /** The pairs that are shown, grouped by prompt. */
  pairs: Pair[];
  /** Pairs that samples/index.json lists. */
  listed: number;
  /** Pairs with a missing or damaged picture. */
  broken: number;
  points?: { before: Points; after: Points; target?: Points | undefined } | undefined;
}

const MAX_PAIRS = 360;
/** Characters of all pictures together in base64: the page stays below 10 MB. */
const MAX_CHARACTERS = 8e6;

const shot = z.object({ file: z.string(), reward: z.number().nullable() });
const indexSchema = z.array(
  z.object({ prompt: z.string(), seed: z.union([z.number(), z.string()]), before: shot, after: shot }),
);
type Listed = z.output<typeof indexSchema>[number];

const points = z.array(
  z
    .tuple([z.number(), z.number()])
    .rest(z.number())
    .transform(([x, y]) => [x, y] as const),
);
const pointsSchema = z.object({ before: points, after: points, target: points.optional() });

/** Reads samples/: index.json with its pictures, and points.json. Pictures beyond the limits are not read. */
export async function readSamples(folder: string): Promise<Samples> {
  const listed = (await readJson(join(folder, "index.json"), indexSchema)) ?? [];
  const kept: { pair: Pair; prompt: number }[] = [];
  const { order, prompts } = turnByTurn(listed);
  let characters = 0;
  let broken = 0;
  for (const entry of order) {
    if (kept.length === MAX_PAIRS) break;
    const before = await readShot(folder, entry.before);
    const after = await readShot(folder, entry.after);
    if (!before || !after) {
      broken++;
      continue;
    }
    characters += before.source.length + after.source.length;
    if (characters > MAX_CHARACTERS) break;
    kept.push({ pair: { prompt: entry.prompt, seed: entry.seed, before, after }, prompt: prompts.get(entry.prompt)! });
  }
  return {
    pairs: kept.sort((a, b) => a.prompt - b.prompt).map(({ pair }) => pair),
    listed: listed.length,
    broken,
    points: await readJson(join(folder, "points.json"), pointsSchema),
  };
}

/** The first pair of every prompt, then the second ones, and so on: a limit then leaves some of each. */
function turnByTurn(listed: readonly Listed[]) {
  const prompts = new Map<string, number>();
  const turns: Listed[][] = [];
  const seen = new Map<string, number>();
  for (const entry of listed) {
    if (!prompts.has(entry.prompt)) prompts.set(entry.prompt, prompts.size);
    const turn = seen.get(entry.prompt) ?? 0;
    seen.set(entry.prompt, turn + 1);
    turns[turn] ??= [];
    turns[turn].push(entry);
  }
  return { order: turns.flat(), prompts };
}

/** A picture below the folder, undefined if there is none or it is damaged: a report does without it. */
async function readShot(folder: string, { file, reward }: Listed["before"]): Promise<Shot | undefined> {
  if (isAbsolute(file) || normalize(file).startsWith("..")) return undefined;
  try {
    const png = await readFile(join(folder, file));
    const { width, height } = await decodePng(png);
    return {
      source: `data:image/png;base64,${png.toString("base64")}`,
      width,
      height,
      reward: reward ?? Number.NaN,
    };
  } catch {
    return undefined;
  }
}
