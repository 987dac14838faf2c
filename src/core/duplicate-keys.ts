/**
 * The first key that one object of a JSON text has twice, or undefined. JSON.parse keeps only the last of them without
 * a word. `text` must be valid JSON.
 */
export function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = []; // keys of the objects that are open, outermost first
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{") open.push(new Set());
    else if (char === "}") open.pop();
    else if (char === '"') {
      const end = stringEnd(text, i);
      if (isFollowedByColon(text, end)) {
        const key: string = JSON.parse(text.slice(i, end));
        const keys = open.at(-1)!;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** Index after the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** In valid JSON a string is a key exactly when a colon follows. */
function isFollowedByColon(text: string, start: number): boolean {
  let i = start;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i] === ":";
}
