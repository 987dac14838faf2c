import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { measuringBlock } from "../evaluate/measure.ts";
import { bundledModel, openModel } from "../evaluate/open-model.ts";
import { samplePolicy } from "../evaluate/sample-policy.ts";
import { type SampleFile, writePictures, writePoints } from "../evaluate/write-samples.ts";
import { noReward } from "../rewards/no-reward.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { openScorer } from "../sample/image-scorer.ts";
import { amount, collect, wholeNumber } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { refuseUsedFolder } from "./fresh-folder.ts";
import { withProgress } from "./progress.ts";
import { quickstartPrompts } from "./quickstart-config.ts";

interface SampleFlags {
  prompt: string[];
  count: number;
  seed: number;
  steps?: number;
  guidance?: number;
  out: string;
  reward?: string;
  json: boolean;
}

export function addSample({ program, signal }: Cli): void {
  program
    .command("sample")
    .summary("draw pictures with a run or a model")
    .description(
      "Samples a finetuned run or a model and writes PNG files, with prompt, seed and reward in their text chunks, and contact-sheet.png with a row for each prompt. A run on an exact world gives points.json.",
    )
    .argument("[model]", "run directory or diffusers folder", bundledModel)
    .option("--prompt <text>", "what to draw; repeatable; default: the run's prompts", collect, [])
    .option("--count <n>", "samples of each prompt", wholeNumber(1), 4)
    .option("--seed <n>", "seed of the noise", wholeNumber(0), 0)
    .option("--steps <n>", "steps of the sampler, instead of the run's", wholeNumber(1))
    .option("--guidance <scale>", "guidance scale, instead of the run's", amount)
    .option("--out <dir>", "folder for the files; must be empty", "samples")
    .option("--reward <kind>", "score with this reward, instead of the run's")
    .option("--json", "print {model, prompts, count, seed, files} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla sample --prompt "a cat" --prompt "a glossy fox on blue"
  nabla sample runs/quickstart --count 8 --seed 1 --out samples/after
  nabla sample assets/models/animals-32 --steps 50 --guidance 3 --reward style-score --out samples/before
`,
    )
    .action(async (model: string, { prompt, count, seed, steps, guidance, out, reward, json }: SampleFlags) => {
      await refuseUsedFolder(out, "Samples go");
      const prompts = prompt.length > 0 ? prompt : undefined;
      const opened = await openModel(model, {
        prompts,
        folderPrompts: await quickstartPrompts(),
        reward,
        steps,
        guidance,
      });
      const { parts, policy, config } = opened;
      const runtime = nodeRuntime({ threads: config.train.threads });
      const block = Math.min(measuringBlock(parts, config.train.block), parts.prompts.length * count);
      const each = parts.prompts.flatMap((text) => new Array<string>(count).fill(text));
      const request = { prompts: each, seed, purpose: "sampling", block, signal } as const;
      const { states } = await withProgress(0, ({ stage }) =>
        samplePolicy(runtime, parts, policy, { ...request, onProgress: (fraction) => stage("sampling", fraction) }),
      );
      const scorer = await openScorer(runtime, parts.model, parts.reward, block);
      const { images, rewards } = await scorer.score(states.at(-1)!, each);
      await scorer.release();

      await mkdir(out, { recursive: true });
      const scored = parts.reward === noReward ? undefined : rewards;
      const samples = { images, shape: parts.model.imageShape, prompts: each, seed, count, rewards: scored };
      const files = parts.model.prior ? await writePoints(out, samples) : await writePictures(out, samples);
      process.stderr.write(`${told(files, out)}\n`);
      if (!json) return;
      const listed = files.map((file) => ({ ...file, file: join(out, file.file) }));
      process.stdout.write(
        `${JSON.stringify({ model, prompts: parts.prompts, count, seed, out, files: listed }, null, 2)}\n`,
      );
    });
}

function told(files: readonly SampleFile[], out: string): string {
  const rewards = files.flatMap(({ reward }) => reward ?? []);
  const mean = rewards.reduce((sum, r) => sum + r, 0) / rewards.length;
  const last = files.at(-1)!.file;
  return `Wrote ${files.length} ${files.length === 1 ? "file" : "files"}: see ${join(out, last)}${rewards.length > 0 ? `; mean reward ${mean.toFixed(3)}` : ""}`;
}
