import { readFile } from "node:fs/promises";
import { FormatError } from "../core/errors.ts";
import { duplicateKey } from "./duplicate-keys.ts";
import { showValue } from "./show-value.ts";

/** A JSON object in UTF-8 without duplicate keys. Throws FormatError, naming `source`. */
export function parseJsonObject(bytes: Uint8Array, source: string): object {
  let json: unknown;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${source} is not JSON in UTF-8 (${(cause as Error).message}).`, { cause });
  }
  if (!isObject(json)) throw new FormatError(`${source} must be a JSON object, not ${showValue(json)}.`);
  const twice = duplicateKey(text);
  if (twice !== undefined) throw new FormatError(`${source} has the key ${showValue(twice)} twice in one object.`);
  return json;
}

/** Such an object of a file. Throws FormatError also when there is no file. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new FormatError(`A model's folder needs ${path}, which cannot be read (${error.code}).`);
  });
  return parseJsonObject(bytes, path) as Record<string, unknown>;
}

export const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
