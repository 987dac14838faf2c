import { type EvaluatedMetric, evaluateModel } from "../evaluate/evaluate-model.ts";
import { halfStepsOf } from "../evaluate/half-steps.ts";
import { bundledModel, openModel } from "../evaluate/open-model.ts";
import type { TiltedReference } from "../evaluate/tilted.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { promptFile } from "../train/prepare.ts";
import { positiveList, wholeNumber } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { namedReward, shownHub } from "./hub.ts";
import { withProgress } from "./progress.ts";
import { quickstartPrompts } from "./quickstart-config.ts";
import { table } from "./table.ts";

interface EvaluateFlags {
  imagesPerPrompt?: number;
  seed?: number;
  prompts?: string;
  reward?: string;
  tilt?: number[];
  ode: boolean;
  halfSteps: boolean;
  json: boolean;
}

export function addEvaluate({ program, signal }: Cli): void {
  program
    .command("evaluate")
    .summary("measure a run or a model")
    .description(
      "Measures reward, diversity, prompt agreement and, for a run, the distance to its pretrained model; in exact worlds also the distance to the exact target. The defaults repeat the measurement of the run's summary.json.",
    )
    .argument("[model]", "run directory, diffusers folder or hf:owner/name@revision", bundledModel)
    .option("--images-per-prompt <n>", "samples of each prompt; default: the run's, or 16", wholeNumber(2))
    .option("--seed <n>", "seed of the noise; default: the run's, or 1000", wholeNumber(0))
    .option(
      "--prompts <file>",
      "file of prompts (text, one a line; CSV, JSON, JSON Lines), instead of the run's prompts",
    )
    .option("--reward <kind>", "score with this reward instead of the run's (nabla list rewards)")
    .option(
      "--tilt <betas>",
      "also measure the target p_pre exp(βr) by weighted pretrained samples, for each β",
      positiveList,
    )
    .option("--ode", "draw without noise, as nabla sample --ode does; in exact worlds beside the same target", false)
    .option("--half-steps", "draw the run's samples as nabla sample --half-steps does (experimental)", false)
    .option("--json", "print {model, prompts, imagesPerPrompt, seed, metrics, tilted?} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla evaluate runs/quickstart
  nabla evaluate runs/quickstart --prompts configs/prompts/animals.txt --json
  nabla evaluate assets/models/animals-32 --images-per-prompt 8 --seed 7
  nabla evaluate --reward style-score --images-per-prompt 350 --tilt 0.25,0.5,1,2
`,
    )
    .action(async (model: string, flags: EvaluateFlags) => {
      const prompts = flags.prompts === undefined ? undefined : await promptFile(flags.prompts);
      const opened = await withProgress(0, async (progress) => {
        const openHub = shownHub({ signal }, progress);
        return openModel(model, {
          prompts,
          folderPrompts: await quickstartPrompts(),
          reward: flags.reward === undefined ? undefined : await namedReward(flags.reward, openHub),
          ode: flags.ode,
          openHub,
        });
      });
      const { evaluate, train } = opened.config;
      const { imagesPerPrompt = evaluate.imagesPerPrompt, seed = evaluate.seed } = flags;
      const runtime = nodeRuntime({ threads: train.threads });
      const { tilt } = flags;
      const halfSteps =
        flags.halfSteps || (evaluate.halfSteps && !flags.ode)
          ? await halfStepsOf(model, opened, flags.reward)
          : undefined;
      const evaluation = await withProgress(0, ({ measuring }) =>
        evaluateModel(runtime, opened, {
          imagesPerPrompt,
          seed,
          ...(tilt && { tilt }),
          halfSteps,
          onStage: measuring,
          signal,
        }),
      );
      const { metrics, tilted } = evaluation;
      const measured = { model, prompts: opened.parts.prompts, imagesPerPrompt, seed, ...evaluation };
      process.stderr.write(
        `${metricsTable(metrics)}\n(${measured.prompts.length} prompts, ${imagesPerPrompt} samples each, seed ${seed})\n`,
      );
      if (tilted) process.stderr.write(`\npretrained samples weighted by exp(βr):\n${tiltTable(tilted)}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`);
    });
}

function metricsTable(metrics: Readonly<Record<string, EvaluatedMetric>>): string {
  const columns = ["value", "std", "floor", "target", "pretrained", "n"] as const;
  const used = columns.filter((column) => Object.values(metrics).some((metric) => metric[column] !== undefined));
  const show = (column: (typeof columns)[number], value: number | undefined) =>
    value === undefined ? "" : column === "n" ? String(value) : value.toFixed(4);
  return table([
    ["", ...used],
    ...Object.entries(metrics).map(([name, metric]) => [name, ...used.map((column) => show(column, metric[column]))]),
  ]);
}

const tiltTable = (tilted: readonly TiltedReference[]): string =>
  table([
    ["beta", "reward", "std", "diversity", "agreement", "effective samples of a prompt"],
    ...tilted.map(({ beta, reward, rewardStd, diversity, promptAgreement, ess }) => [
      String(beta),
      ...[reward, rewardStd, diversity, promptAgreement].map((value) => value?.toFixed(4) ?? ""),
      ess.toFixed(1),
    ]),
  ]);
