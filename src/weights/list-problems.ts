const shown = 8;

/** Problems in one line: the first few, and how many there are. */
export function listProblems(problems: readonly string[]): string {
  const first = problems.slice(0, shown).join("; ");
  return problems.length > shown ? `${first} … (${problems.length} in all)` : first;
}
