import { readFile } from "node:fs/promises";
import { z } from "zod";
import { FormatError } from "../core/errors.ts";

/** The checked content of a JSON file, undefined if there is no such file. Throws FormatError if it is damaged. */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path} is not valid JSON: ${(cause as Error).message}. Was it cut short?`, { cause });
  }
  const parsed = schema.safeParse(data);
  if (!parsed.success) throw new FormatError(`${path}: ${z.prettifyError(parsed.error)}`, { cause: parsed.error });
  return parsed.data;
}

/** A text file, undefined if there is none. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
