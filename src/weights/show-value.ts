/** A value from a file for a message: short, and safe for lists of any depth. */
export function showValue(value: unknown): string {
  if (Array.isArray(value) && value.length <= 10 && value.every((item) => typeof item !== "object")) {
    return `[${value.map(showValue).join(", ")}]`;
  }
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const text = (typeof value === "bigint" ? String(value) : JSON.stringify(value)) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
