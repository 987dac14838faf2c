import { z } from "zod";
import { NablaError } from "../../core/errors.ts";

const schema = z.object({ rewards: z.array(z.number().nullable()) });

/**
 * Scores of an answer, undefined where it has none: null, NaN, more than float32 holds. When some are left out, it cannot be told
 * whose, so that all are undefined. Throws NablaError, which quotes nothing, for an answer of another shape.
 */
export function scoresIn(text: string, count: number, address: string): (number | undefined)[] {
  const parsed = schema.safeParse(jsonOf(text));
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new NablaError(
      `${address} must answer with JSON {rewards: [number, …]}, but ${path.join(".") || "the whole"} does not fit: ${message}.`,
    );
  }
  const { rewards } = parsed.data;
  if (rewards.length > count) {
    throw new NablaError(
      `${address} was sent ${count} pictures and answers with ${rewards.length} scores. It must give one for each, in order.`,
    );
  }
  if (rewards.length < count) return new Array<undefined>(count).fill(undefined);
  return rewards.map((score) => score ?? undefined);
}

/** JSON, or what Python's json writes in its place for numbers that are not finite; undefined for anything else. */
export function jsonOf(text: string): unknown {
  const finite = (_: string, value: unknown) =>
    typeof value === "number" && !Number.isFinite(Math.fround(value)) ? null : value;
  for (const candidate of [text, text.replace(/\bNaN\b|-?\bInfinity\b/g, "null")]) {
    try {
      return JSON.parse(candidate, finite);
    } catch {
      // the second candidate, or no JSON at all: the schema says so
    }
  }
  return undefined;
}
