/**
 * Dotted paths at which two JSON values differ, sorted; positions in lists count as keys (`reward.0.weight`). A part
 * that only one of them has is named by its first missing key.
 */
export function differingKeys(a: unknown, b: unknown): string[] {
  return paths(a, b, "").sort();
}

function paths(a: unknown, b: unknown, path: string): string[] {
  if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) return Object.is(a, b) ? [] : [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => paths(a[key], b[key], path === "" ? key : `${path}.${key}`));
}

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
