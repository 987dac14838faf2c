import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { type RunConfig, resolveConfig } from "../train/config.ts";
import { collect } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { quickstartSource, readQuickstart } from "./quickstart-config.ts";
import { trainAndReport } from "./train.ts";

interface QuickstartFlags {
  out: string;
  set: string[];
  resume: boolean;
  json: boolean;
}

/** Measured with the bundled model on two cores: one trajectory of an update, and one picture sampled and measured. */
const secondsPer = { trajectory: 0.32, picture: 0.1 };

export function addQuickstart(cli: Cli): void {
  cli.program
    .command("quickstart")
    .summary("align the bundled text-to-image model with a reward, and see what came of it")
    .description(
      "Finetunes the bundled text-to-image model towards the style of glossy icons with residual ∇-DB, and leaves pictures before and after, numbers and a report.",
    )
    .option("--out <dir>", "run directory", "runs/quickstart")
    .option("--set <key=value...>", "override a key of configs/quickstart.yaml; repeatable", collect, [])
    .option("--resume", "go on from the last checkpoint in DIR", false)
    .option("--json", "print summary.json to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla quickstart
  nabla quickstart --resume
  nabla quickstart --out runs/gentler --set objective.beta=8
  nabla quickstart --out runs/short --set train.updates=5 --set evaluate.imagesPerPrompt=4
`,
    )
    .action(async ({ out, set, resume, json }: QuickstartFlags) => {
      const config = resolveConfig({ file: await readQuickstart(), set, source: quickstartSource });
      if (!resume) refuseUsedFolder(out);
      process.stderr.write(`${plan(config, out)}\n`);
      await trainAndReport(cli, config, out, { resume, json });
    });
}

function refuseUsedFolder(out: string): void {
  if (existsSync(join(out, "summary.json"))) {
    throw new ConfigError(
      `${out} holds a finished run: see ${join(out, "report.html")}. For another run choose --out DIR, or delete the folder.`,
    );
  }
  if (existsSync(join(out, "config.json"))) {
    throw new ConfigError(
      `${out} holds a run that is not finished. Go on with it by --resume; for a new run choose --out DIR, or delete the folder.`,
    );
  }
}

/** In one sentence: what will be done, how long it takes, where the result will be. */
function plan({ train, evaluate, prompts, reward }: RunConfig, out: string): string {
  const count = Array.isArray(prompts) ? prompts.length : 0;
  const kinds = [reward ?? []].flat().map(({ kind }) => kind);
  const pictures = 3 * count * evaluate.imagesPerPrompt; // before, after, and the pretrained model once more
  const seconds = train.updates * train.trajectories * secondsPer.trajectory + pictures * secondsPer.picture;
  const minutes = Math.ceil(seconds / 60);
  return `Aligning the bundled 32×32 animal model with the reward ${kinds.join(" + ")} on ${count} prompts: ${train.updates} updates, about ${minutes} ${minutes === 1 ? "minute" : "minutes"} on two cores; the report will be ${join(out, "report.html")}.`;
}
