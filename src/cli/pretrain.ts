import { readConfigFile } from "../core/config.ts";
import { openRunDirectory } from "../run/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { pretrain } from "../train/pretrain.ts";
import { resolvePretrainConfig } from "../train/pretrain-config.ts";
import type { Cli } from "./cli.ts";
import { progressOf } from "./progress.ts";

export function addPretrain({ program, signal }: Cli): void {
  program
    .command("pretrain")
    .summary("train a text-to-image model or a small classifier from scratch")
    .description("Trains a network from scratch on pictures and writes it to DIR/model.")
    .argument("<config>", "YAML file, for example configs/animals-32.yaml")
    .requiredOption("--out <dir>", "run directory")
    .option(
      "--set <key=value...>",
      "override a key of the configuration",
      (v: string, all: string[]) => [...all, v],
      [],
    )
    .option("--checkpoint-every <n>", "updates between checkpoints")
    .option("--resume", "go on from the last checkpoint in DIR", false)
    .addHelpText(
      "after",
      "\nExample:\n  nabla pretrain configs/animals-32.yaml --out runs/animals-32 --set train.updates=50\n",
    )
    .action(async (path: string, given: { out: string; set: string[]; checkpointEvery?: string; resume: boolean }) => {
      const every = given.checkpointEvery ? [`train.checkpointEvery=${given.checkpointEvery}`] : [];
      const config = resolvePretrainConfig(await readConfigFile(path), [...given.set, ...every], path);
      const directory = await openRunDirectory(given.out, config, { resume: given.resume });
      const progress = progressOf(config.train.updates);
      try {
        const runtime = nodeRuntime({ threads: config.train.threads });
        for await (const event of pretrain(config, runtime, directory, signal)) progress.show(event);
        progress.close();
      } finally {
        directory.release();
      }
    });
}
