import { ConfigError } from "../core/errors.ts";

/** Where prompts come from: the file's name for messages, and the column or key that holds them where it is given. */
export interface PromptSource {
  name: string;
  column?: string | undefined;
}

/** What stands in the place of a prompt, not checked yet, and the file and line or record for messages. */
export interface FoundPrompt {
  value: unknown;
  where: string;
}

/** The columns and keys that hold the prompts where none is named, in any case: DrawBench has Prompts, HPDv2 prompt. */
const USUAL = ["prompt", "prompts", "text"];

/** Index of the column or key that holds the prompt. Throws ConfigError when it is not there or there twice. */
export function promptColumn(names: readonly string[], column: string | undefined, where: string): number {
  for (const wanted of column === undefined ? USUAL : [column]) {
    const same = (name: string) => (column === undefined ? name.trim().toLowerCase() : name) === wanted;
    const index = names.findIndex(same);
    if (index < 0) continue;
    if (names.findLastIndex(same) === index) return index;
    throw new ConfigError(
      `${where}: which "${wanted}" holds the prompts? There are several: ${listed(names)}. Rename one.`,
    );
  }
  throw new ConfigError(
    column === undefined
      ? `${where}: prompts are read from the column or key prompt, prompts or text, but there is ${listed(names)}. Name another with prompts: { file, column }.`
      : `${where}: prompts.column is "${column}", but there is ${listed(names)}.`,
  );
}

/** At most 8 names of at most 40 characters. */
function listed(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const shown = names.slice(0, 8).map((name) => JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name));
  return names.length > 8 ? `${shown.join(", ")} and ${names.length - 8} more` : shown.join(", ");
}
