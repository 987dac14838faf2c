import { ConfigError, FormatError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";
import { type FoundPrompt, type PromptSource, promptColumn } from "./prompt-column.ts";

/** The prompts of a JSON file: a list of texts, or of objects with a key for the prompt. Throws FormatError, ConfigError. */
export function* jsonPrompts(text: string, source: PromptSource): Generator<FoundPrompt> {
  const records = parseJson(text, source.name);
  if (!Array.isArray(records)) {
    throw new FormatError(`${source.name}: a JSON file of prompts is a list, but ${typeName(records)} came.`);
  }
  for (const [index, record] of records.entries()) {
    yield promptOfRecord(record, source, `${source.name}: record ${index + 1}`);
  }
}

/** The prompts of a JSON Lines file: a text or an object on each line; blank lines do not count. */
export function* jsonlPrompts(text: string, source: PromptSource): Generator<FoundPrompt> {
  for (const [index, line] of text.split("\n").entries()) {
    const where = `${source.name}: line ${index + 1}`;
    if (line.trim() !== "") yield promptOfRecord(parseJson(line, where), source, where);
  }
}

function promptOfRecord(record: unknown, { column }: PromptSource, where: string): FoundPrompt {
  if (typeof record === "string") {
    if (column === undefined) return { value: record, where };
    throw new ConfigError(`${where} is a text without keys, but prompts.column is "${column}". Leave the column out.`);
  }
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new FormatError(`${where}: a record is a text or an object, but ${typeName(record)} came.`);
  }
  const entries = Object.entries(record);
  const index = promptColumn(
    entries.map(([key]) => key),
    column,
    where,
  );
  return { value: entries[index]![1], where };
}

/** The JSON type of a value, as it reads in a sentence. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
