import { ConfigError } from "../core/errors.ts";

/**
 * Index of the class that a prompt names as a word of its own ("a glossy cat on blue" names "cat"). Throws ConfigError
 * when it names none or several.
 */
export function classInPrompt(prompt: string, classes: readonly string[]): number {
  const found = classesInPrompt(prompt, classes);
  if (found.length !== 1) {
    throw new ConfigError(
      `This network judges prompts that name one of what it knows, but ${JSON.stringify(prompt)} names ${found.join(" and ") || "none"}. Known: ${classes.join(", ")}.`,
    );
  }
  return classes.indexOf(found[0]!);
}

/** The classes that a prompt names, each as a word of its own. */
export function classesInPrompt(prompt: string, classes: readonly string[]): readonly string[] {
  const words: string[] = prompt.toLowerCase().match(/\p{L}+/gu) ?? [];
  return classes.filter((name) => words.includes(name));
}
