import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { Rng } from "../core/rng.ts";
import { rowsAt } from "../core/rows.ts";
import { halfStepsOf } from "../evaluate/half-steps.ts";
import { measuringBlock } from "../evaluate/measure.ts";
import { bundledModel, type OpenedModel, openModel } from "../evaluate/open-model.ts";
import { sampleComparing } from "../evaluate/path-ratio.ts";
import { measuredBeta, pathLogWeights } from "../evaluate/path-summary.ts";
import { resampleByPrompt } from "../evaluate/resample.ts";
import { samplePolicy } from "../evaluate/sample-policy.ts";
import { type SampleFile, writePictures, writePoints } from "../evaluate/write-samples.ts";
import { noReward } from "../rewards/no-reward.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { openScorer } from "../sample/image-scorer.ts";
import { sizeOf } from "../tensor/index.ts";
import { amount, collect, wholeNumber } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { refuseUsedFolder } from "./fresh-folder.ts";
import { namedReward, shownHub } from "./hub.ts";
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
  ode: boolean;
  halfSteps: boolean;
  resample: boolean;
  candidates: number;
  beta?: number;
  json: boolean;
}

export function addSample({ program, signal }: Cli): void {
  program
    .command("sample")
    .summary("draw pictures with a run or a model")
    .description(
      "Samples a finetuned run or a model and writes PNG files, with prompt, seed and reward in their text chunks, and contact-sheet.png with a row for each prompt. A run on an exact world gives points.json.",
    )
    .argument("[model]", "run directory, diffusers folder or hf:owner/name@revision", bundledModel)
    .option("--prompt <text>", "what to draw; repeatable; default: the run's prompts", collect, [])
    .option("--count <n>", "samples of each prompt", wholeNumber(1), 4)
    .option("--seed <n>", "seed of the noise", wholeNumber(0), 0)
    .option("--steps <n>", "steps of the sampler, instead of the run's", wholeNumber(1))
    .option("--guidance <scale>", "guidance scale, instead of the run's", amount)
    .option("--out <dir>", "folder for the files; must be empty", "samples")
    .option("--reward <kind>", "kind, ONNX file or folder of a reward to score with, instead of the run's")
    .option("--ode", "draw without noise: a flow by its ODE, others by DDIM with eta 0", false)
    .option(
      "--half-steps",
      "draw each step of a run but the last in two halves, the second along h at the point between; costs two frozen passes, a vector-Jacobian product and a reward gradient more, about four times as much (experimental)",
      false,
    )
    .option("--resample", "weigh candidates by exp(beta r) / (finetuned / pretrained) and draw by the weights", false)
    .option("--candidates <k>", "with --resample: candidates for each sample", wholeNumber(2), 16)
    .option("--beta <b>", "with --resample: beta of the target, instead of the run's", amount)
    .option("--json", "print {model, prompts, count, seed, files} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla sample --prompt "a cat" --prompt "a glossy fox on blue"
  nabla sample runs/quickstart --count 8 --seed 1 --out samples/after
  nabla sample runs/ring8 --count 1000 --half-steps --out samples/half
  nabla sample runs/quickstart --count 8 --resample --candidates 32 --out samples/resampled
  nabla sample assets/models/animals-32 --steps 50 --guidance 3 --reward style-score --out samples/before
`,
    )
    .action(async (model: string, flags: SampleFlags) => {
      const { prompt, count, seed, steps, guidance, ode, out, reward, resample, candidates, json } = flags;
      await refuseUsedFolder(out, "Samples go");
      const prompts = prompt.length > 0 ? prompt : undefined;
      const opened = await withProgress(0, async (progress) => {
        const openHub = shownHub({ signal }, progress);
        return openModel(model, {
          prompts,
          folderPrompts: await quickstartPrompts(),
          reward: reward === undefined ? undefined : await namedReward(reward, openHub),
          steps,
          guidance,
          ode,
          openHub,
        });
      });
      const { parts, policy, config } = opened;
      const halfSteps = flags.halfSteps ? await halfStepsOf(model, opened, reward) : undefined;
      const runtime = nodeRuntime({ threads: config.train.threads });
      const drawn = resample ? count * candidates : count;
      const beta = resample ? resamplingBeta(opened, flags) : undefined;
      const block = Math.min(measuringBlock(parts, config.train.block), parts.prompts.length * drawn);
      const each = parts.prompts.flatMap((text) => new Array<string>(drawn).fill(text));
      const request = { prompts: each, seed, purpose: "sampling", block, halfSteps, signal } as const;
      const { states, paths } = await withProgress(0, async ({ stage }) => {
        const shown = { ...request, onProgress: (fraction: number) => stage("sampling", fraction) };
        if (beta !== undefined) return sampleComparing(runtime, parts, policy, shown);
        return { ...(await samplePolicy(runtime, parts, policy, shown)), paths: undefined };
      });
      const scorer = await openScorer(runtime, parts.model, parts.reward, block);
      const scored = await scorer.score(states.at(-1)!, each);
      await scorer.release();
      const resampled =
        paths && resampleByPrompt(pathLogWeights(scored.rewards, paths, beta!), each, count, new Rng(seed));
      const kept = resampled?.flatMap(({ indices }) => indices) ?? each.map((_, k) => k);
      const rewards = parts.reward === noReward ? undefined : Float32Array.from(kept, (k) => scored.rewards[k]!);

      await mkdir(out, { recursive: true });
      const { imageShape: shape } = parts.model;
      const images = rowsAt(scored.images, sizeOf(shape), kept);
      const samples = { images, shape, prompts: kept.map((k) => each[k]!), seed, count, numbers: kept, rewards };
      const files = parts.model.prior ? await writePoints(out, samples) : await writePictures(out, samples);
      process.stderr.write(`${told(files, out)}\n`);
      for (const { prompt: text, ess, candidates: of } of resampled ?? []) {
        process.stderr.write(
          `${text === "" ? "" : `${text}: `}effective sample size ${ess.toFixed(1)} of ${of} candidates\n`,
        );
      }
      if (!json) return;
      const listed = files.map((file) => ({ ...file, file: join(out, file.file) }));
      process.stdout.write(
        `${JSON.stringify({ model, prompts: parts.prompts, count, seed, out, files: listed, ...(resampled && { resampled }) }, null, 2)}\n`,
      );
    });
}

/** β of the weights. Throws ConfigError where there are none. */
function resamplingBeta({ config, parts, policy }: OpenedModel, { beta }: SampleFlags): number {
  if (parts.reward === noReward) {
    throw new ConfigError(
      "--resample weighs samples by their reward r, but there is none: name it with --reward KIND.",
    );
  }
  if (!parts.chain.stochastic) {
    throw new ConfigError(
      "--resample compares the steps of two chains with noise, but this sampler has a step without: sample a run whose sampler has noise in every step, or leave out --resample.",
    );
  }
  const stated = beta ?? (policy && measuredBeta(config));
  if (stated !== undefined) return stated;
  throw new ConfigError(
    policy
      ? "--resample draws from p exp(beta r), but this run's objective has a priorStrength other than 1: give --beta to draw from that law nevertheless."
      : "--resample draws from p exp(beta r), and a model has no beta: give --beta.",
  );
}

function told(files: readonly SampleFile[], out: string): string {
  const rewards = files.flatMap(({ reward }) => reward ?? []);
  const mean = rewards.reduce((sum, r) => sum + r, 0) / rewards.length;
  const last = files.at(-1)!.file;
  return `Wrote ${files.length} ${files.length === 1 ? "file" : "files"}: see ${join(out, last)}${rewards.length > 0 ? `; mean reward ${mean.toFixed(3)}` : ""}`;
}
