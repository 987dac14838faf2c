/** Work that Ctrl-C ended; the message says what was kept and how to go on. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";

/** The command that was given, with --resume, to be copied into a shell. */
export function resumeCommand(): string {
  const given = process.argv.slice(2).filter((word) => word !== "--resume");
  return ["nabla", ...given, "--resume"].map(quoted).join(" ");
}

const quoted = (word: string): string => (/^[\w./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
