#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { ConfigError, NablaError } from "../core/errors.ts";
import { addPretrain } from "./pretrain.ts";
import { addTrain } from "./train.ts";

const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

const abort = new AbortController();
process.once("SIGINT", () => {
  process.stderr.write("\nStopping after this update and saving … (Ctrl-C again to stop at once)\n");
  abort.abort();
  process.once("SIGINT", () => process.exit(exitCodes.interrupted));
});

const program = new Command("nabla")
  .description("Aligns diffusion and flow models with a reward without losing diversity.")
  .exitOverride()
  .configureOutput({ writeErr: (text) => process.stderr.write(text) });
const cli = { program, signal: abort.signal };
addTrain(cli);
addPretrain(cli);

try {
  await program.parseAsync();
  if (abort.signal.aborted) process.exitCode = exitCodes.interrupted;
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (error instanceof NablaError) {
    process.stderr.write(`${error.message}\n`);
    return error instanceof ConfigError ? exitCodes.usage : exitCodes.failed;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exitCodes.failed;
}
