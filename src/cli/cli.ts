import type { Command } from "commander";

/** What every command gets. */
export interface Cli {
  program: Command;
  /** Aborted by the first Ctrl-C: training saves a checkpoint and stops. */
  signal: AbortSignal;
}
