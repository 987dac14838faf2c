import { BACKGROUNDS } from "./backgrounds.ts";

export { readPromptFile } from "./prompt-file.ts";

/** The word for each style that prompts can ask for. */
export const STYLE_WORDS: Readonly<Record<string, string>> = {
  noto: "soft",
  "noto-v1": "cartoon",
  fxemoji: "plain",
  "fluent-emoji-flat": "flat",
  "fluent-emoji": "glossy",
};

/** What a prompt may say besides the animal: a style word and a background colour. */
export interface PromptDetails {
  styleWord?: string;
  background?: string;
}

/** "a cat", "an ant", "a glossy cat", "a cat on blue", "a glossy cat on white". */
export function promptOf(animal: string, { styleWord, background }: PromptDetails = {}): string {
  const noun = styleWord === undefined ? animal : `${styleWord} ${animal}`;
  const article = /^[aeiou]/.test(noun) ? "an" : "a";
  return background === undefined ? `${article} ${noun}` : `${article} ${noun} on ${background}`;
}

/** Shares of training prompts that name the style only, the background only, and both; the others are plain. */
export const DETAIL_SHARES = { style: 0.12, background: 0.12, both: 0.11 } as const;

/** The prompt of a training picture: mostly plain, sometimes with details that are true of it. `u` is in (0, 1). */
export function choosePrompt(animal: string, details: PromptDetails, u: number): string {
  const { style, background, both } = DETAIL_SHARES;
  if (u < both) return promptOf(animal, details);
  if (u < both + style && details.styleWord !== undefined) return promptOf(animal, { styleWord: details.styleWord });
  if (u >= both + style && u < both + style + background && details.background !== undefined) {
    return promptOf(animal, { background: details.background });
  }
  return promptOf(animal);
}

/** Every word that a prompt about `animals` can contain. */
export function promptWords(animals: readonly string[]): string[] {
  return ["a", "an", "on", ...animals, ...Object.values(STYLE_WORDS), ...BACKGROUNDS.map(({ name }) => name)];
}
