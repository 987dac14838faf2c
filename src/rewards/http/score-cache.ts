import { createHash } from "node:crypto";
import type { EightBitPicture } from "../eight-bit.ts";

/** What a score belongs to: the pixels, their arrangement and the prompt. */
export function keyOf({ data, height, width }: EightBitPicture, prompt: string): string {
  return createHash("sha256").update(`${height}×${width}\n`).update(data).update(prompt).digest("base64");
}

/** Remembers up to `limit` scores; the one that was longest not asked for goes first. */
export class ScoreCache {
  readonly #scores = new Map<string, number>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): number | undefined {
    const score = this.#scores.get(key);
    if (score !== undefined) this.set(key, score);
    return score;
  }

  set(key: string, score: number): void {
    this.#scores.delete(key);
    this.#scores.set(key, score);
    if (this.#scores.size > this.#limit) this.#scores.delete(this.#scores.keys().next().value!);
  }
}
