import { z } from "zod";
import { FormatError } from "../core/errors.ts";

const id = z.int().nonnegative();
const schema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id, content: z.string().min(1) })).nullish(),
  model: z.looseObject({
    type: z.literal("BPE"),
    vocab: z.record(z.string(), id),
    merges: z.array(z.union([z.string().regex(/^\S+ \S+$/), z.tuple([z.string(), z.string()])])),
  }),
});

/**
 * Throws FormatError, naming `source`, unless a tokenizer.json is of byte-pair encoding, its ids are the numbers from 0 on, and
 * its regular expressions take no time to speak of.
 */
export function checkTokenizerJson(json: object, source: string): void {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new FormatError(`${source}: ${path.join(".").slice(0, 100) || "the whole"} does not fit: ${message}.`);
  }
  const { added_tokens: added, model } = parsed.data;
  const ids = new Map(Object.entries(model.vocab));
  for (const { content, id } of added ?? []) {
    const before = ids.get(content) ?? id;
    if (before !== id)
      throw new FormatError(`${source}: ${JSON.stringify(content.slice(0, 100))} has two ids, ${before} and ${id}.`);
    ids.set(content, id);
  }
  const used = new Set(ids.values());
  if (used.size !== ids.size || [...used].some((one) => one >= ids.size)) {
    throw new FormatError(
      `${source}: the ids of ${ids.size} tokens are the numbers from 0 to ${ids.size - 1}, each once.`,
    );
  }
  checkPatterns(json, source);
}

const patternSchema = z.union([z.strictObject({ Regex: z.string() }), z.strictObject({ String: z.string() })]);

function checkPatterns(value: unknown, source: string): void {
  if (typeof value !== "object" || value === null) return;
  const needsPattern = "type" in value && (value.type === "Split" || value.type === "Replace");
  const entries = Object.entries(needsPattern ? { pattern: undefined, ...value } : value);
  for (const [key, item] of entries) {
    if (key === "vocab" || key === "merges") continue;
    if (key === "pattern" && !patternSchema.safeParse(item).success)
      throw new FormatError(`${source}: a pattern is { "Regex": text } or { "String": text }, but another came.`);
    if (key === "Regex" && !isLinear(item)) {
      throw new FormatError(
        `${source}: a regular expression here has no groups and repeats one part of each alternative at most, since others can take forever, but ${JSON.stringify(item)?.slice(0, 100)} came.`,
      );
    }
    checkPatterns(item, source);
  }
}

/** Alternatives without groups, of which each has one repeated part at most, so that matching tries no combinations. */
function isLinear(regex: unknown): boolean {
  if (typeof regex !== "string" || regex.length > 1000) return false;
  const bare = regex.replaceAll(/\\[pP]\{\w+\}|\\[^1-9k]/g, "x").replaceAll(/\[[^\]]*\]/g, "x");
  return (
    !/[()\\[\]]/.test(bare) && bare.split("|").every((alternative) => (alternative.match(/[*+{]/g)?.length ?? 0) <= 1)
  );
}
