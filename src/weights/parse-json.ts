import { MAX_TEXT_BYTES, readBounded } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import { isJsonObject, parseJson } from "../core/parse-json.ts";
import { showValue } from "./show-value.ts";

/** A JSON object in UTF-8, see parseJson. Throws FormatError, naming `source`. */
export function parseJsonObject(bytes: Uint8Array, source: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${source} is not JSON in UTF-8 (${(cause as Error).message}).`, { cause });
  }
  const json = parseJson(text, source);
  if (!isJsonObject(json)) throw new FormatError(`${source} must be a JSON object, not ${showValue(json)}.`);
  return json;
}

/** Such an object of a file of a model's folder. Throws FormatError also when there is no file, or a larger one. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const bytes = await readBounded(path, MAX_TEXT_BYTES, "a configuration").catch((error: NodeJS.ErrnoException) => {
    if (error instanceof FormatError) throw error;
    throw new FormatError(`A model's folder needs ${path}, which cannot be read (${error.code}).`);
  });
  return parseJsonObject(bytes, path);
}
