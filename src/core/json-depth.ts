/** Deeper than any file that is read here; the parser needs more than linear time for millions of open brackets. */
export const MAX_JSON_DEPTH = 64;

/** Whether the brackets of a JSON text, valid or not, are nested deeper than `most` levels. Takes linear time. */
export function isDeeperThan(text: string, most: number): boolean {
  const special = /["\\[\]{}]/g;
  let depth = 0;
  let inString = false;
  for (let met = special.exec(text); met !== null; met = special.exec(text)) {
    const [character] = met;
    if (character === '"') inString = !inString;
    else if (character === "\\") special.lastIndex++;
    else if (!inString) depth += character === "[" || character === "{" ? 1 : -1;
    if (depth > most) return true;
  }
  return false;
}
