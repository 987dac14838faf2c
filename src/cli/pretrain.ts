import { readConfigFile } from "../core/config.ts";
import { shippedPath } from "../core/package-root.ts";
import { openRunDirectory } from "../run/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { pretrain } from "../train/pretrain.ts";
import { resolvePretrainConfig } from "../train/pretrain-config.ts";
import { collect } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { Interrupted, resumeCommand } from "./interrupted.ts";
import { withProgress } from "./progress.ts";

interface PretrainFlags {
  out: string;
  set: string[];
  checkpointEvery?: string;
  resume: boolean;
}

export function addPretrain({ program, signal }: Cli): void {
  program
    .command("pretrain")
    .summary("train a text-to-image model or a small classifier from scratch")
    .description("Trains a network from scratch on pictures and writes it to DIR/model.")
    .argument("<config>", "YAML file, for example configs/animals-32.yaml")
    .requiredOption("--out <dir>", "run directory; must be empty without --resume")
    .option("--set <key=value...>", "override a key of the configuration; repeatable", collect, [])
    .option("--checkpoint-every <n>", "updates between checkpoints")
    .option("--resume", "go on from the last checkpoint in DIR", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla pretrain configs/animals-32.yaml --out runs/animals-32
  nabla pretrain configs/animals-32.yaml --out runs/short --set train.updates=50
  nabla sample runs/animals-32 --prompt "a cat"
`,
    )
    .action(async (path: string, { out, set, checkpointEvery, resume }: PretrainFlags) => {
      const every = checkpointEvery ? [`train.checkpointEvery=${checkpointEvery}`] : [];
      const config = resolvePretrainConfig(await readConfigFile(shippedPath(path)), [...set, ...every], path);
      const directory = await openRunDirectory(out, config, { resume });
      let stopped = false;
      try {
        await withProgress(config.train.updates, async (progress) => {
          const runtime = nodeRuntime({ threads: config.train.threads });
          for await (const event of pretrain(config, runtime, directory, signal)) {
            progress.show(event);
            stopped = event.type === "interrupted";
          }
        });
      } finally {
        directory.release();
      }
      if (stopped) throw new Interrupted(`Stopped; a checkpoint is saved. Go on with:\n  ${resumeCommand()}`);
    });
}
