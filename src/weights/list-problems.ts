const shown = 8;
const longest = 200; // characters of one

/** Problems in one line: the first few, and how many there are. */
export function listProblems(problems: readonly string[]): string {
  const short = (problem: string) => (problem.length > longest ? `${problem.slice(0, longest)}…` : problem);
  const first = problems.slice(0, shown).map(short).join("; ");
  return problems.length > shown ? `${first} … (${problems.length} in all)` : first;
}
