import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { parseConfig } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { findCheckpoint, isLocked, type RunSummary, readRunConfig, readSummary } from "../run/index.ts";
import type { Cli } from "./cli.ts";
import { table } from "./table.ts";

interface Listed {
  run: string;
  /** What is trained: `train` names an objective, `pretrain` a task. */
  method: string;
  status: "finished" | "running" | "stopped";
  /** Updates that the newest checkpoint holds. */
  update: number;
  updates: number;
  before?: RunSummary["before"];
  after?: RunSummary["after"];
}

export function addRuns({ program }: Cli): void {
  program
    .command("runs")
    .summary("list runs with their state and result")
    .description(
      "Lists the run directories in a folder: state, updates done, and reward and diversity before and after.",
    )
    .argument("[dir]", "folder that holds run directories", "runs")
    .option("--json", "print [{run, method, status, update, updates, before?, after?}] to stdout", false)
    .addHelpText("after", "\nExamples:\n  nabla runs\n  nabla runs experiments --json\n")
    .action(async (dir: string, { json }: { json: boolean }) => {
      const runs = await findRuns(dir);
      if (json) process.stdout.write(`${JSON.stringify(runs, null, 2)}\n`);
      else process.stdout.write(runs.length > 0 ? `${runsTable(runs)}\n` : `There is no run in ${dir}.\n`);
    });
}

async function findRuns(dir: string): Promise<Listed[]> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`The folder ${dir} cannot be read (${error.code}). Give one that holds run directories.`);
  });
  const paths = names.map((name) => join(dir, name)).filter((path) => existsSync(join(path, "config.json")));
  return Promise.all(paths.sort().map(describeRun));
}

/** What the list shows of a configuration; a pretraining has a task and no objective. */
const configSchema = z.looseObject({
  task: z.string().optional(),
  objective: z.looseObject({ kind: z.string().optional() }).optional(),
  train: z.looseObject({ updates: z.number().optional() }).optional(),
});

async function describeRun(run: string): Promise<Listed> {
  const config = parseConfig(configSchema, await readRunConfig(run), join(run, "config.json"));
  const updates = config.train?.updates ?? 0;
  const update = (await findCheckpoint(run))?.step ?? 0;
  const summary = existsSync(join(run, "summary.json")) ? await readSummary(run) : undefined;
  const done = config.task === undefined ? existsSync(join(run, "final.safetensors")) : update >= updates;
  return {
    run,
    method: config.task ?? config.objective?.kind ?? "",
    status: isLocked(run) ? "running" : done ? "finished" : "stopped",
    update,
    updates,
    ...(summary && { before: summary.before, after: summary.after }),
  };
}

function runsTable(runs: readonly Listed[]): string {
  const change = (from: number | undefined, to: number | undefined) =>
    from === undefined || to === undefined ? "" : `${from.toFixed(3)} → ${to.toFixed(3)}`;
  return table(
    [
      ["run", "method", "state", "updates", "reward", "diversity"],
      ...runs.map(({ run, method, status, update, updates, before, after }) => [
        run,
        method,
        status,
        `${update}/${updates}`,
        change(before?.reward, after?.reward),
        change(before?.diversity, after?.diversity),
      ]),
    ],
    { align: "left" },
  );
}
