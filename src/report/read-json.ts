import { z } from "zod";
import { readBounded } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";

/** Events of millions of updates; the text of a larger file does not fit a string of JavaScript. */
const MAX_RUN_FILE_BYTES = 2 ** 28;

const MAX_REASON = 1000; // characters: a file can be wrong in a million places

/** The checked content of a JSON file, undefined if there is no such file. Throws FormatError if it is damaged. */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  const parsed = schema.safeParse(parseJson(text, path));
  if (!parsed.success) {
    throw new FormatError(`${path}: ${z.prettifyError(parsed.error).slice(0, MAX_REASON)}`, { cause: parsed.error });
  }
  return parsed.data;
}

/**
 * A text file, undefined if there is none; a kill can leave half a character at its end, which becomes U+FFFD. Throws
 * FormatError for a file of more than 256 MiB.
 */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await readBounded(path, MAX_RUN_FILE_BYTES, "a file of a run"));
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
