#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { z } from "zod";
import { ConfigError, NablaError } from "../core/errors.ts";
import { packagePath } from "../core/package-root.ts";
import { addConvert } from "./convert.ts";
import { addDoctor } from "./doctor.ts";
import { addEvaluate } from "./evaluate.ts";
import { addExport } from "./export.ts";
import { addInspect } from "./inspect.ts";
import { Interrupted, isAbort } from "./interrupted.ts";
import { addList } from "./list.ts";
import { addMerge } from "./merge.ts";
import { addPretrain } from "./pretrain.ts";
import { addQuickstart } from "./quickstart.ts";
import { addRuns } from "./runs.ts";
import { addSample } from "./sample.ts";
import { addTrain } from "./train.ts";
import { addValidate } from "./validate.ts";
import { addVerify } from "./verify.ts";

const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

const abort = new AbortController();
process.once("SIGINT", () => {
  process.stderr.write("\nStopping as soon as the work in hand is safe … (Ctrl-C again to stop at once)\n");
  abort.abort();
  process.once("SIGINT", () => process.exit(exitCodes.interrupted));
});
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(exitCodes.done); // the reader has seen enough: nabla list | head
  throw error;
});

const { version } = JSON.parse(readFileSync(packagePath("package.json"), "utf8")) as { version: string };
const program = new Command("nabla")
  .description(
    "Aligns diffusion and flow models with a reward without losing diversity: finetunes them to sample from p_pre(x) · exp(beta · r(x)), measures the result before and after, and writes a report.",
  )
  .version(version)
  .showHelpAfterError("(--help shows the options and examples)")
  .exitOverride()
  .configureOutput({ writeErr: (text) => process.stderr.write(text) })
  .addHelpText(
    "after",
    `
Examples:
  nabla quickstart                                     align the bundled model; report in runs/quickstart/report.html
  nabla sample --prompt "a cat" --prompt "a fox"       draw pictures with the bundled model
  nabla train configs/worlds/ring8.yaml --out runs/a   a problem whose answer is known exactly
  nabla evaluate runs/a --json                         measure a run again, as JSON
  nabla list rewards                                   what there is to choose from, with all options

Where to go next:
  nabla COMMAND --help   examples of each command
  docs/guide             own pictures, own reward, reading the report, choosing beta

Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration, 130 interrupted.
With --json, stdout holds one JSON document and nothing else.`,
  );
const cli = { program, signal: abort.signal };
for (const add of [
  addQuickstart,
  addTrain,
  addSample,
  addEvaluate,
  addValidate,
  addInspect,
  addExport,
  addConvert,
  addMerge,
  addVerify,
  addRuns,
  addList,
  addPretrain,
  addDoctor,
])
  add(cli);

try {
  if (process.argv.length <= 2) program.help();
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says on stderr what went wrong; returns the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  const say = (text: string) => process.stderr.write(`${text}\n`);
  if (error instanceof Interrupted) {
    say(error.message);
    return exitCodes.interrupted;
  }
  if (abort.signal.aborted && isAbort(error)) {
    say("Stopped.");
    return exitCodes.interrupted;
  }
  if (error instanceof NablaError) {
    say(error.message);
    return error instanceof ConfigError ? exitCodes.usage : exitCodes.failed;
  }
  if (error instanceof z.ZodError) {
    say(`An option does not fit:\n${z.prettifyError(error)}`);
    return exitCodes.usage;
  }
  const { syscall, message } = error as NodeJS.ErrnoException;
  if (syscall !== undefined)
    say(message); // the system refused: no space, no permission, no such file
  else say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return exitCodes.failed;
}
