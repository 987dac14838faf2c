import { ConfigError } from "./errors.ts";
import { normalQuantile } from "./normal-quantile.ts";
import { philoxBlocks } from "./philox.ts";

/**
 * What a stream of random numbers is for: the last word of the counter. Append only: a changed number changes every
 * run made with it, and two purposes with one number would draw the same numbers.
 */
export const purposes = {
  /** Initial weights; sample = index of the parameter. */
  init: 0,
  /** Which pictures an update of pretraining sees; sample = update. */
  data: 1,
  /** How a picture is augmented; sample = picture seen. */
  augment: 2,
  /** Sampler noise while training: step i is the noise that makes x_i, so step 0 is the initial noise. */
  rollout: 3,
  /** Which transitions of a trajectory are trained on. */
  transitions: 4,
  /** Which prompts an update trains on; sample = update. */
  prompts: 5,
  /** Sampler noise of evaluations during and after training, steps as for rollout. */
  evaluation: 6,
  /** Sampler noise of `nabla sample`, steps as for rollout. */
  sampling: 7,
  /** Dropped conditions and units. */
  dropout: 8,
  /** Tests only. */
  test: 9,
  /** The noise eps of a pretraining example. */
  pretrainNoise: 10,
  /** The time t of a pretraining example. */
  pretrainTime: 11,
  /** Sampler noise of the pretrained model where it is compared with, steps as for rollout. */
  reference: 12,
  /** Draws inside an objective, for example a fresh x_i of its reverse part. */
  objective: 13,
  /** Draws inside a reward, for example crops. */
  reward: 14,
  /** Subsets, bootstrap and projections inside a metric. */
  metric: 15,
  /** Sampler noise of the pretrained samples that a reward is normalised by, steps as for rollout. */
  normalization: 16,
  /** Particle filters: sample 0 is the noise that makes x_i, steps as for rollout; sample 1 + f resamples filter f before step i. */
  filter: 17,
  /** The seed that a law of x_0 is learned with. */
  initialLaw: 18,
} as const;

export type Purpose = keyof typeof purposes;

/**
 * Names one stream: the purpose, which sample (trajectory, picture, parameter …) and which step of it, both below 2³²
 * and 0 when omitted. Draw one kind of number from a stream: uniforms and normals of the same stream are the same words.
 */
export interface StreamAt {
  readonly purpose: Purpose;
  readonly sample?: number;
  readonly step?: number;
}

const CHUNK_BLOCKS = 256;
/** Retry r of a rejected word has the purpose number + r · RETRY; purpose numbers stay below it. */
const RETRY = 0x10000;
const TWO_32 = 2 ** 32;

/**
 * All random numbers of the package: Philox4x32-10 with the seed as key and the counter (element / 4, sample, step,
 * purpose). Element e of a stream is word e mod 4 of that block: it depends neither on how many are drawn nor on what
 * was drawn before, so that a resumed run and any number of workers see the same numbers. An Rng has no state.
 */
export class Rng {
  readonly #key0: number;
  readonly #key1: number;

  /** @param seed an integer in [0, 2⁶⁴); a number must be a safe integer. */
  constructor(seed: number | bigint) {
    const whole = typeof seed === "bigint" || Number.isSafeInteger(seed);
    if (!whole || seed < 0 || BigInt(seed) >= 1n << 64n) {
      throw new ConfigError(`A seed is an integer from 0 to 2^53 - 1 (as a bigint, to 2^64 - 1), not ${seed}.`);
    }
    this.#key0 = Number(BigInt(seed) & 0xffffffffn);
    this.#key1 = Number(BigInt(seed) >> 32n);
  }

  /** n numbers (w + ½) / 2³², w a 32-bit word: uniform on the open interval (0, 1), never 0 or 1. */
  uniform(n: number, at: StreamAt): Float64Array {
    const out = new Float64Array(n);
    this.#eachChunk(n, at, (words, start, count) => {
      for (let i = 0; i < count; i++) out[start + i] = (words[i]! + 0.5) / TWO_32;
    });
    return out;
  }

  /** n standard normals: the quantile of the uniforms of the same stream, rounded to float32. |z| < 6.4. */
  normal(n: number, at: StreamAt): Float32Array {
    const out = new Float32Array(n);
    this.fillNormal(out, 0, n, at);
    return out;
  }

  /** Writes the n standard normals of the stream to out[offset … offset + n). */
  fillNormal(out: Float32Array, offset: number, n: number, at: StreamAt): void {
    if (offset < 0 || offset + n > out.length) {
      throw new RangeError(`Elements ${offset} to ${offset + n} do not lie in an array of ${out.length}.`);
    }
    this.#eachChunk(n, at, (words, start, count) => {
      for (let i = 0; i < count; i++) out[offset + start + i] = normalQuantile((words[i]! + 0.5) / TWO_32);
    });
  }

  /** n integers, uniform on 0 … bound − 1 without bias. bound is at most 2³¹. */
  integers(n: number, bound: number, at: StreamAt): Int32Array {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 31) {
      throw new RangeError(`The bound of random integers is an integer from 1 to 2^31, not ${bound}.`);
    }
    return this.#integersBelow(n, () => bound, at);
  }

  /** A uniformly random order of 0 … n − 1 (Fisher and Yates). Unlike the others, it depends on n as a whole. */
  permutation(n: number, at: StreamAt): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    const other = this.#integersBelow(n, (i) => i + 1, at);
    for (let i = n - 1; i > 0; i--) {
      const j = other[i]!;
      const moved = order[i]!;
      order[i] = order[j]!;
      order[j] = moved;
    }
    return order;
  }

  /**
   * Element i is uniform below boundAt(i): the high half of word · bound; a word that would bias it is drawn anew
   * [lemire2019integers].
   */
  #integersBelow(n: number, boundAt: (i: number) => number, at: StreamAt): Int32Array {
    const out = new Int32Array(n);
    this.#eachChunk(n, at, (words, start, count) => {
      for (let i = 0; i < count; i++) {
        const bound = boundAt(start + i);
        let word = words[i]!;
        let low = Math.imul(word, bound) >>> 0;
        for (let retry = 1; low < TWO_32 % bound; retry++) {
          word = this.#wordAt(start + i, at, retry);
          low = Math.imul(word, bound) >>> 0;
        }
        out[start + i] = Math.round((word * bound - low) / TWO_32); // the product is rounded to 53 of its 63 bits
      }
    });
    return out;
  }

  #wordAt(element: number, at: StreamAt, retry: number): number {
    const block = new Uint32Array(4);
    const purpose = purposes[at.purpose] + retry * RETRY;
    philoxBlocks(block, 1, Math.floor(element / 4), at.sample ?? 0, at.step ?? 0, purpose, this.#key0, this.#key1);
    return block[element % 4]!;
  }

  /** Calls `use` with the words of elements start … start + count − 1, in order, a chunk that fits the cache at a time. */
  #eachChunk(n: number, at: StreamAt, use: (words: Uint32Array, start: number, count: number) => void): void {
    const { purpose, sample = 0, step = 0 } = at;
    checkCounter("number of elements", n);
    checkCounter("sample", sample);
    checkCounter("step", step);
    const words = new Uint32Array(4 * Math.min(CHUNK_BLOCKS, Math.ceil(n / 4)));
    for (let start = 0; start < n; start += words.length) {
      const count = Math.min(words.length, n - start);
      const blocks = Math.ceil(count / 4);
      philoxBlocks(words, blocks, start / 4, sample, step, purposes[purpose], this.#key0, this.#key1);
      use(words, start, count);
    }
  }
}

function checkCounter(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= TWO_32) {
    throw new RangeError(`The ${name} of a random stream is an integer from 0 to 2^32 - 1, not ${value}.`);
  }
}
