import { extname } from "node:path";
import { MAX_TEXT_BYTES, readBounded } from "../core/bounded-file.ts";
import { ConfigError, FormatError } from "../core/errors.ts";
import type { FoundPrompt, PromptSource } from "./prompt-column.ts";
import { csvPrompts } from "./prompt-csv.ts";
import { jsonlPrompts, jsonPrompts, typeName } from "./prompt-json.ts";

/** About 100,000 prompts; a larger file is more likely another file. */
export const MAX_PROMPT_FILE_BYTES = MAX_TEXT_BYTES;

type PromptReader = (text: string, source: PromptSource) => Iterable<FoundPrompt>;

/** The reader of each extension; a file with any other is text. */
const readers: Readonly<Record<string, PromptReader>> = {
  ".csv": csvPrompts,
  ".json": jsonPrompts,
  ".jsonl": jsonlPrompts,
};

/**
 * The prompts of a file in its order, repeated ones too; spaces around a prompt do not count. By its extension the file is
 * CSV with a header, JSON (a list), JSON Lines, or text with one prompt a line, blank lines left out. `column` names the
 * column or key of the prompt. Throws FormatError for a file that does not follow its format, ConfigError for a column that
 * is not there, and the system's error when the file cannot be read.
 */
export async function readPromptFile(
  path: string,
  { column }: { column?: string | undefined } = {},
): Promise<string[]> {
  return parsePrompts(await readBounded(path, MAX_PROMPT_FILE_BYTES, "a prompt file"), { name: path, column });
}

/** The prompts in the bytes of a file; the extension of `name` says how they are written. */
export function parsePrompts(bytes: Uint8Array, source: PromptSource): string[] {
  const read = readers[extname(source.name).toLowerCase()] ?? textPrompts;
  return Array.from(read(decode(bytes, source.name), source), checkedPrompt);
}

function* textPrompts(text: string, { name, column }: PromptSource): Generator<FoundPrompt> {
  if (column !== undefined) {
    const formats = Object.keys(readers).join(", ");
    throw new ConfigError(
      `${name}: prompts.column is "${column}", but a text file has no columns. Formats that have: ${formats}.`,
    );
  }
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() !== "") yield { value: line, where: `${name}: line ${index + 1}` };
  }
}

function checkedPrompt({ value, where }: FoundPrompt): string {
  if (typeof value !== "string") throw new FormatError(`${where}: a prompt is a text, but ${typeName(value)} came.`);
  const prompt = value.trim();
  if (prompt === "") throw new FormatError(`${where}: a prompt has at least one character, but this is empty.`);
  if (prompt.includes("\0") || /\p{Surrogate}/u.test(prompt)) {
    throw new FormatError(`${where}: a prompt is Unicode text, but this has a NUL or half of a surrogate pair.`);
  }
  return prompt;
}

/** Text of UTF-8 with or without a byte order mark. */
function decode(bytes: Uint8Array, name: string): string {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  try {
    return utf8.decode(bytes);
  } catch {
    throw new FormatError(
      `${name}: a prompt file is text in UTF-8, but line ${badLine(bytes)} is not. Save it as UTF-8.`,
    );
  }
}

/** The first line (from 1) that is not UTF-8: no character has a line feed among its bytes, so lines can be judged alone. */
function badLine(bytes: Uint8Array): number {
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  for (let begin = 0, end = 0; end >= 0; begin = end + 1, line++) {
    end = bytes.indexOf(0x0a, begin);
    try {
      utf8.decode(bytes.subarray(begin, end < 0 ? bytes.length : end));
    } catch {
      break;
    }
  }
  return line;
}
