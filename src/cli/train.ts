import type { ConfigData } from "../core/config.ts";
import { finishAlignedRun } from "../evaluate/aligned-run.ts";
import { writeReport } from "../report/index.ts";
import { openRunDirectory } from "../run/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { type RunConfig, readConfig } from "../train/config.ts";
import { prepare } from "../train/prepare.ts";
import { collect } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { Interrupted, isAbort, resumeCommand } from "./interrupted.ts";
import { withProgress } from "./progress.ts";
import { summaryTable } from "./summary-table.ts";

interface TrainFlags {
  out: string;
  set: string[];
  model?: string;
  reward?: string;
  checkpointEvery?: string;
  resume: boolean;
  json: boolean;
}

export function addTrain(cli: Cli): void {
  cli.program
    .command("train")
    .summary("finetune a model towards a reward")
    .description(
      "Finetunes the model of a configuration towards its reward, measures it before and after with the same noise, and leaves a run directory with summary.json and report.html.",
    )
    .argument("<config>", "YAML file, for example configs/worlds/ring8.yaml")
    .requiredOption("--out <dir>", "run directory; must be empty without --resume")
    .option("--set <key=value...>", "override a key of the configuration; repeatable", collect, [])
    .option("--model <path>", "folder of the model, instead of the configuration's")
    .option("--reward <kind>", "kind of the reward, instead of the configuration's")
    .option("--checkpoint-every <n>", "updates between checkpoints")
    .option("--resume", "go on from the last checkpoint in DIR", false)
    .option("--json", "print summary.json to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla train configs/worlds/ring8.yaml --out runs/ring8
  nabla train configs/worlds/ring8.yaml --out runs/ddpo --set objective.kind=ddpo --set train.seed=1
  nabla train configs/quickstart.yaml --out runs/mine --reward prompt-score
  nabla train configs/quickstart.yaml --out runs/mine --reward prompt-score --resume
`,
    )
    .action(async (path: string, flags: TrainFlags) => {
      const every = flags.checkpointEvery ? [`train.checkpointEvery=${flags.checkpointEvery}`] : [];
      const named: ConfigData = {
        ...(flags.model && { model: { kind: "diffusers", path: flags.model } }),
        ...(flags.reward && { reward: { kind: flags.reward } }),
      };
      const config = await readConfig(path, { named, set: [...flags.set, ...every] });
      await trainAndReport(cli, config, flags.out, flags);
    });
}

/** Runs a finetuning with progress on stderr, then the table and the report. */
export async function trainAndReport(
  { signal }: Cli,
  config: RunConfig,
  out: string,
  { resume, json }: { resume: boolean; json: boolean },
): Promise<void> {
  const parts = await prepare(config); // first, so that what does not fit leaves no folder behind
  const directory = await openRunDirectory(out, config, { resume });
  try {
    const summary = await withProgress(config.train.updates, (progress) =>
      finishAlignedRun(
        {
          config,
          parts,
          runtime: nodeRuntime({ threads: config.train.threads }),
          directory,
          signal,
          onStage: progress.measuring,
          clock: () => performance.now() / 1000,
        },
        progress.show,
      ),
    );
    if (!summary) throw new Interrupted(`Stopped; a checkpoint is saved. Go on with:\n  ${resumeCommand()}`);
    process.stderr.write(summaryTable(summary));
    process.stderr.write(`\nReport: ${await writeReport(out)}\n`);
    if (json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  } catch (error) {
    if (!signal.aborted || !isAbort(error)) throw error;
    throw new Interrupted(`Stopped while measuring. Go on with:\n  ${resumeCommand()}`);
  } finally {
    directory.release();
  }
}
