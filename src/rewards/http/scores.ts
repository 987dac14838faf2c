import sharp from "sharp";
import { NonFiniteError } from "../../core/errors.ts";
import type { EightBitPicture } from "../eight-bit.ts";
import type { Client } from "./client.ts";
import { limitOf } from "./limit.ts";
import { keyOf, ScoreCache } from "./score-cache.ts";

/** A picture and the prompt it was drawn for. */
export interface Sample {
  picture: EightBitPicture;
  prompt: string;
}

/** A sample with its place among those to be scored and its key in the cache. */
interface KeyedSample extends Sample {
  index: number;
  key: string;
}

/** How a server is asked and understood. */
export interface Protocol {
  /** Samples of one request, at most. */
  batch: number;
  /** Body of the request for some samples. */
  question(samples: readonly Sample[]): Promise<string>;
  /**
   * Scores of `count` samples in their order, undefined where the answer has none. Throws NablaError that quotes nothing, but
   * may name `address`, for an answer of another shape.
   */
  scores(text: string, count: number, address: string): (number | undefined)[];
}

export type Scores = (pictures: readonly EightBitPicture[], prompts: readonly string[]) => Promise<Float32Array>;

/**
 * Scores [B] of pictures in their order. The same picture under the same prompt is sent once; one without a score is sent
 * a second time, and then NonFiniteError names it. When one request fails, those under way are stopped.
 */
export function openScores(
  client: Client,
  { batch, question, scores }: Protocol,
  { concurrency, cache: cacheSize }: { concurrency: number; cache: number },
): Scores {
  const limited = limitOf(concurrency);
  const cache = new ScoreCache(cacheSize);

  /** Adds the scores that the server gives to `known`. */
  const ask = async (samples: readonly KeyedSample[], known: Map<string, number>) => {
    const stop = new AbortController();
    const asking = batchesOf(samples, batch).map((part) =>
      limited(async () => {
        stop.signal.throwIfAborted();
        const text = await client.post(await question(part), stop.signal);
        for (const [k, score] of scores(text, part.length, client.address).entries()) {
          if (score !== undefined) known.set(part[k]!.key, score);
        }
      }),
    );
    try {
      await Promise.all(asking);
    } catch (error) {
      stop.abort();
      await Promise.allSettled(asking);
      throw error;
    }
  };

  return async (pictures, prompts) => {
    const samples = pictures.map((picture, index) => {
      const prompt = prompts[index]!;
      return { picture, prompt, index, key: keyOf(picture, prompt) };
    });
    const known = new Map<string, number>();
    for (const { key } of samples) {
      const score = cache.get(key);
      if (score !== undefined) known.set(key, score);
    }
    const unknown = () => [
      ...new Map(samples.filter(({ key }) => !known.has(key)).map((sample) => [sample.key, sample])).values(),
    ];
    await ask(unknown(), known);
    await ask(unknown(), known);
    const [missing] = unknown();
    if (missing) {
      throw new NonFiniteError(
        `${client.address} gave no finite score, asked twice, for ${unknown().length} of ${samples.length} pictures; the first is picture ${missing.index} (prompt "${missing.prompt}"). Make it answer with a number for every picture.`,
      );
    }
    for (const [key, score] of known) cache.set(key, score);
    return Float32Array.from(samples, ({ key }) => known.get(key)!);
  };
}

const batchesOf = (samples: readonly KeyedSample[], size: number): KeyedSample[][] =>
  Array.from({ length: Math.ceil(samples.length / size) }, (_, k) => samples.slice(k * size, (k + 1) * size));

/** A picture as the base64 text of a PNG file. */
export async function pngBase64({ data, width, height }: EightBitPicture): Promise<string> {
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return png.toString("base64");
}
