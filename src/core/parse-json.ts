import { duplicateKey } from "./duplicate-keys.ts";
import { FormatError } from "./errors.ts";
import { isDeeperThan, MAX_JSON_DEPTH } from "./json-depth.ts";

/**
 * JSON from outside, nested at most 64 levels deep and without a key that stands twice in one object, of which JSON.parse
 * would keep the last without a word. Throws FormatError, naming `source`.
 */
export function parseJson(text: string, source: string): unknown {
  if (isDeeperThan(text, MAX_JSON_DEPTH)) {
    throw new FormatError(`${source}: JSON is nested at most ${MAX_JSON_DEPTH} levels deep here, but this is deeper.`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${source} is not valid JSON (${(cause as Error).message}). Was it cut short?`, { cause });
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new FormatError(`${source} has the key ${JSON.stringify(twice.slice(0, 100))} twice in one object.`);
  }
  return json;
}

export const isJsonObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
