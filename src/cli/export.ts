import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { explicitHubId } from "../hub/index.ts";
import { loraCard } from "../report/lora-card.ts";
import { readSummary, writeFileAtomic } from "../run/index.ts";
import { rewardList } from "../train/config.ts";
import { type LoraFormat, writeLora } from "../weights/index.ts";
import { baseLicence } from "./base-licence.ts";
import type { Cli } from "./cli.ts";
import { refuseUsedFolder } from "./fresh-folder.ts";
import { type DtypeFlag, dtypeOption, formatOption, writtenFormat } from "./lora-options.ts";
import { loraOfRun } from "./open-lora.ts";

interface ExportFlags {
  format: LoraFormat;
  out?: string;
  dtype: DtypeFlag;
  json: boolean;
}

export function addExport({ program }: Cli): void {
  program
    .command("export")
    .summary("write the LoRA of a run for other tools")
    .description(
      "Writes what a run has trained as a LoRA file that diffusers, peft, A1111 or ComfyUI load, with a model card: base model and licence, reward, and the numbers of summary.json.",
    )
    .argument("<run>", "run directory")
    .addOption(formatOption().default("diffusers"))
    .option("--out <dir>", "folder for the files; must be empty; default: RUN/export/FORMAT")
    .addOption(dtypeOption())
    .option("--json", "print {run, format, files} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla export runs/quickstart
  nabla export runs/quickstart --format kohya --dtype f16 --out lora/glossy
  nabla export runs/quickstart --format peft --json
`,
    )
    .action(async (run: string, { format, out = join(run, "export", format), dtype, json }: ExportFlags) => {
      await refuseUsedFolder(out, "An export goes");
      const { lora, config } = await loraOfRun(run);
      const name = basename(resolve(run));
      const path = String(config.model.path);
      const onHub = explicitHubId(path);
      const baseModel = onHub?.name ?? path;
      const files = await writeLora(out, lora, format, { dtype: writtenFormat(dtype), name, baseModel });
      const sheet = join(run, "samples", "after.png");
      const sample = existsSync(sheet) ? "samples.png" : undefined;
      if (sample) await copyFile(sheet, join(out, sample));
      const card = loraCard({
        name,
        format,
        weightFile: basename(files.at(-1)!),
        baseModel,
        isOnHub: onHub !== undefined,
        onnxPart: config.model.kind === "onnx" ? Object.keys(lora)[0]!.split(".", 1)[0] : undefined,
        licence: await baseLicence(path),
        rewards: rewardList(config),
        objective: config.objective,
        finetune: config.finetune,
        updates: config.train.updates,
        prompts: Array.isArray(config.prompts) ? config.prompts : [],
        summary: existsSync(join(run, "summary.json")) ? await readSummary(run) : undefined,
        sample,
      });
      await writeFileAtomic(join(out, "README.md"), card);
      const written = [...files, join(out, "README.md"), ...(sample ? [join(out, sample)] : [])];
      process.stderr.write(`Wrote ${Object.keys(lora).length} modules: ${written.join(", ")}\n`);
      if (json) process.stdout.write(`${JSON.stringify({ run, format, files: written }, null, 2)}\n`);
    });
}
