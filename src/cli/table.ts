export interface TableOptions {
  /** Columns from the second on: text to the left, numbers to the right. Default "right". */
  align?: "left" | "right";
}

/** Rows of cells as lines of columns; the first column is to the left. */
export function table(rows: readonly (readonly string[])[], { align = "right" }: TableOptions = {}): string {
  const widths: number[] = []; // of columns; a file can bring more rows than a call takes arguments
  for (const row of rows) {
    for (const [k, text] of row.entries()) widths[k] = Math.max(widths[k] ?? 0, text.length);
  }
  const cell = (text: string, k: number) =>
    k > 0 && align === "right" ? text.padStart(widths[k]!) : text.padEnd(widths[k]!);
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n");
}
