import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { type LoraFormat, mergeIntoFolder, sumOfLoras, writeLora } from "../weights/index.ts";
import { numberList } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { refuseUsedFolder } from "./fresh-folder.ts";
import { type DtypeFlag, dtypeOption, formatOption, writtenFormat } from "./lora-options.ts";
import { openLora } from "./open-lora.ts";

interface MergeFlags {
  out: string;
  base?: string;
  weights?: number[];
  format?: LoraFormat;
  dtype: DtypeFlag;
}

export function addMerge({ program }: Cli): void {
  program
    .command("merge")
    .summary("add LoRAs up, or into the weights of a model")
    .description(
      "With --base, writes a copy of a diffusers folder with the weighted sum of the LoRAs added to its weights, in their number format. Without, writes the weighted sum as one LoRA, exactly: its rank is the sum of the ranks.",
    )
    .argument("<loras...>", "safetensors files, peft folders or run directories")
    .requiredOption("--out <dir>", "folder to write; must not hold anything")
    .option("--base <folder>", "diffusers folder to merge into")
    .option("--weights <list>", "how strongly each LoRA counts, separated by commas; default: 1 each", numberList)
    .addOption(formatOption().conflicts("base"))
    .addOption(dtypeOption().conflicts("base"))
    .addHelpText(
      "after",
      `
Examples:
  nabla merge runs/quickstart --base assets/models/animals-32 --out merged
  nabla merge a.safetensors b.safetensors --weights 0.7,0.3 --format kohya --out mixed
  nabla merge runs/a runs/b --weights 1,-1 --format diffusers --out difference
`,
    )
    .action(async (paths: string[], { out, base, weights, format = "diffusers", dtype }: MergeFlags) => {
      if (weights && weights.length !== paths.length) {
        throw new ConfigError(
          `--weights has one number for each LoRA, but ${weights.length} came for ${paths.length} of them.`,
        );
      }
      await refuseUsedFolder(out, "A merge goes");
      const summands = [];
      for (const [k, path] of paths.entries()) {
        summands.push({ lora: await openLora(path, base), weight: weights?.[k] ?? 1 });
      }
      const lora = sumOfLoras(summands);
      if (base === undefined) await writeLora(out, lora, format, { dtype: writtenFormat(dtype), name: "merged" });
      else await mergeIntoFolder(lora, shippedPath(base), out);
      process.stderr.write(`Merged ${paths.length} LoRA${paths.length > 1 ? "s" : ""} into ${out}\n`);
    });
}
