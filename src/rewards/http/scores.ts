import sharp from "sharp";
import { NonFiniteError } from "../../core/errors.ts";
import type { EightBitPicture } from "../eight-bit.ts";
import { scoresIn } from "./answer.ts";
import type { Client } from "./client.ts";
import { limitOf } from "./limit.ts";
import { keyOf, ScoreCache } from "./score-cache.ts";

/** A picture with its prompt, its place among those to be scored and its key in the cache. */
interface Sample {
  picture: EightBitPicture;
  prompt: string;
  index: number;
  key: string;
}

export type Scores = (pictures: readonly EightBitPicture[], prompts: readonly string[]) => Promise<Float32Array>;

/**
 * Scores [B] of pictures in their order. The same picture under the same prompt is sent once; one without a score is sent
 * a second time, and then NonFiniteError names it. When one request fails, those under way are stopped.
 */
export function openScores(
  client: Client,
  { batch, concurrency, cache: cacheSize }: { batch: number; concurrency: number; cache: number },
): Scores {
  const limited = limitOf(concurrency);
  const cache = new ScoreCache(cacheSize);

  /** Adds the scores that the server gives to `known`. */
  const ask = async (samples: readonly Sample[], known: Map<string, number>) => {
    const stop = new AbortController();
    const asking = batchesOf(samples, batch).map((part) =>
      limited(async () => {
        stop.signal.throwIfAborted();
        const text = await client.post(await questionOf(part), stop.signal);
        for (const [k, score] of scoresIn(text, part.length, client.address).entries()) {
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
        `http: ${client.address} gave no finite score, asked twice, for ${unknown().length} of ${samples.length} pictures; the first is picture ${missing.index} (prompt "${missing.prompt}"). Make it answer with a number for every picture.`,
      );
    }
    for (const [key, score] of known) cache.set(key, score);
    return Float32Array.from(samples, ({ key }) => known.get(key)!);
  };
}

const batchesOf = (samples: readonly Sample[], size: number): Sample[][] =>
  Array.from({ length: Math.ceil(samples.length / size) }, (_, k) => samples.slice(k * size, (k + 1) * size));

async function questionOf(samples: readonly Sample[]): Promise<string> {
  const images = await Promise.all(samples.map(async ({ picture }) => (await png(picture)).toString("base64")));
  return JSON.stringify({ images, prompts: samples.map(({ prompt }) => prompt) });
}

const png = ({ data, width, height }: EightBitPicture): Promise<Buffer> =>
  sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
