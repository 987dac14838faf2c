import { basename, resolve } from "node:path";
import { type LoraFormat, writeLora } from "../weights/index.ts";
import type { Cli } from "./cli.ts";
import { refuseUsedFolder } from "./fresh-folder.ts";
import { baseHelp, type DtypeFlag, dtypeOption, formatOption, writtenFormat } from "./lora-options.ts";
import { openLora } from "./open-lora.ts";

interface ConvertFlags {
  format: LoraFormat;
  out: string;
  base?: string;
  dtype: DtypeFlag;
  json: boolean;
}

export function addConvert({ program }: Cli): void {
  program
    .command("convert")
    .summary("write a LoRA in another format")
    .description(
      "Reads a LoRA of diffusers (new and old names, attention processors), peft or kohya, and writes it in another format with the same effect on the weights.",
    )
    .argument("<lora>", "safetensors file, peft folder or run directory")
    .addOption(formatOption().makeOptionMandatory())
    .requiredOption("--out <dir>", "folder for the files; must be empty")
    .option("--base <folder>", baseHelp)
    .addOption(dtypeOption())
    .option("--json", "print {lora, format, modules, files} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla convert style.safetensors --format diffusers --out style-diffusers
  nabla convert adapter-folder --format kohya --dtype f16 --out style-kohya
  nabla convert style.safetensors --format peft --base stable-diffusion-v1-5 --out style-peft
`,
    )
    .action(async (path: string, { format, out, base, dtype, json }: ConvertFlags) => {
      await refuseUsedFolder(out, "A converted LoRA goes");
      const lora = await openLora(path, base);
      const name = basename(resolve(path)).replace(/\.safetensors$/, "");
      const options = { dtype: writtenFormat(dtype), name, ...(base !== undefined && { baseModel: base }) };
      const files = await writeLora(out, lora, format, options);
      const modules = Object.keys(lora).length;
      process.stderr.write(`Wrote ${modules} modules: ${files.join(", ")}\n`);
      if (json) process.stdout.write(`${JSON.stringify({ lora: path, format, modules, files }, null, 2)}\n`);
    });
}
