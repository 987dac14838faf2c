import type { ConfigData } from "../core/config.ts";
import { finishAlignedRun } from "../evaluate/aligned-run.ts";
import { writeReport } from "../report/index.ts";
import { openRunDirectory } from "../run/index.ts";
import { type RunConfig, readConfig } from "../train/config.ts";
import { prepareMeasured } from "../train/measured-rewards.ts";
import { collect } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { namedReward, shownHub } from "./hub.ts";
import { Interrupted, isAbort, resumeCommand } from "./interrupted.ts";
import { openRuntime } from "./open-runtime.ts";
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
    .option("--model <path>", "diffusers folder or hf:owner/name@revision, instead of the configuration's model")
    .option("--reward <kind>", "kind, ONNX file, folder or hf:owner/name@revision, instead of the configuration's")
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
      const layer: ConfigData = {
        ...(flags.model && { model: { kind: "diffusers", path: flags.model } }),
        ...(flags.reward && { reward: await named(cli, flags.reward) }),
      };
      const config = await readConfig(path, { named: layer, set: [...flags.set, ...every] });
      await trainAndReport(cli, config, flags.out, flags);
    });
}

const named = ({ signal }: Cli, reward: string) =>
  withProgress(0, (progress) => namedReward(reward, shownHub({ signal }, progress)));

/** Runs a finetuning with progress on stderr, then the table and the report. */
export async function trainAndReport(
  { signal }: Cli,
  given: RunConfig,
  out: string,
  { resume, json }: { resume: boolean; json: boolean },
): Promise<void> {
  const runtime = await openRuntime(given.train);
  // First, so that what does not fit leaves no folder behind.
  const { config, parts } = await withProgress(0, (progress) =>
    prepareMeasured(given, runtime, {
      out,
      signal,
      openHub: shownHub({ signal }, progress),
      onProgress: (fraction) => progress.measuring("rewards", fraction),
    }),
  );
  const directory = await openRunDirectory(out, config, { resume });
  let saved = false;
  try {
    const summary = await withProgress(config.train.updates, (progress) =>
      finishAlignedRun(
        {
          config,
          parts,
          runtime,
          directory,
          signal,
          onStage: progress.measuring,
          clock: () => performance.now() / 1000,
        },
        (event) => {
          saved ||= event.type === "checkpoint";
          progress.show(event);
        },
      ),
    );
    if (!summary) {
      const kept = saved ? "Stopped; a checkpoint is saved. Go on" : "Stopped before the first update. Begin again";
      throw new Interrupted(`${kept} with:\n  ${resumeCommand()}`);
    }
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
