import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { leastEss } from "../core/importance.ts";
import { packagePath } from "../core/package-root.ts";
import { plainMethods, readMethods } from "../evaluate/methods.ts";
import { trainPlanned, validate } from "../evaluate/validate.ts";
import type { PlannedRun } from "../evaluate/validation-plan.ts";
import type { WorldResult } from "../evaluate/validation-result.ts";
import { validationDocument, worldSection } from "../evaluate/validation-table.ts";
import { writeReport } from "../report/index.ts";
import { type RunSummary, writeFileAtomic, writeJsonAtomic } from "../run/index.ts";
import { wholeNumber } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { Interrupted, isAbort } from "./interrupted.ts";
import { openRuntime } from "./open-runtime.ts";
import { withProgress } from "./progress.ts";

interface ValidateFlags {
  out: string;
  methods?: string[];
  seeds?: number[];
  updates?: number;
  evaluations?: number;
  short: boolean;
  json: boolean;
}

/** What --short stands for; options that are given win. */
const short = {
  worlds: ["configs/worlds/ring8.yaml"],
  methods: ["residual-nabla-db", "ddpo"],
  seeds: [0],
  updates: 20,
  imagesPerPrompt: 200,
};

export function addValidate(cli: Cli): void {
  cli.program
    .command("validate")
    .summary("compare methods on worlds whose answer is known")
    .description(
      `Trains each method on each exact world with several seeds, and sets what it reaches beside the pretrained model, the exact target and the tilted sampler (${leastEss} effective samples or more). Runs are kept in DIR/WORLD/METHOD/seed-K: the same command again takes the finished ones as they are and goes on with the others.`,
    )
    .argument("[worlds...]", "YAML files; default: all of configs/worlds that ship")
    .option("--out <dir>", "folder of the runs, validate.md and validate.json", "runs/validate")
    .option(
      "--methods <kinds>",
      "kinds of objectives, separated by commas, or a YAML file of variants such as configs/studies/td.yaml; default: all objectives",
      words,
    )
    .option("--seeds <list>", "seeds of the training, separated by commas; default: 0,1,2", seedList)
    .option("--updates <n>", "updates of each run; default: the world's", wholeNumber(1))
    .addOption(
      new Option(
        "--evaluations <n>",
        "in place of --updates: evaluations of the denoiser in each run, so that methods are compared at equal cost",
      )
        .argParser(wholeNumber(1))
        .conflicts("updates"),
    )
    .option(
      "--short",
      `a quick check: ${short.methods.join(" and ")}, ring8, ${short.updates} updates, one seed`,
      false,
    )
    .option("--json", "print validate.json, {worlds: [{world, references, methods, …}]}, to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla validate
  nabla validate --short --out runs/check
  nabla validate configs/worlds/ring8.yaml --methods residual-nabla-db,adjoint-matching --seeds 0,1,2,3,4 --json
  nabla validate configs/worlds/dim16.yaml --methods configs/studies/td.yaml --evaluations 3456000
`,
    )
    .action(async (paths: string[], flags: ValidateFlags) => {
      const given = flags.short ? short : undefined;
      const shipped = given?.worlds ?? (await shippedWorlds());
      const results: WorldResult[] = [];
      const validation = validate({
        worlds: paths.length > 0 ? paths : shipped,
        methods: await methodsOf(flags.methods ?? given?.methods),
        seeds: flags.seeds ?? given?.seeds ?? [0, 1, 2],
        updates: flags.updates ?? given?.updates,
        evaluations: flags.evaluations,
        imagesPerPrompt: given?.imagesPerPrompt,
        out: flags.out,
        train: (run, { index, count }) => trainWithProgress(cli, run, `${index}/${count}`),
      });
      for await (const result of validation) {
        results.push(result);
        process.stderr.write(`\n${worldSection(result)}\n`);
        await mkdir(flags.out, { recursive: true });
        await writeFileAtomic(join(flags.out, "validate.md"), validationDocument(results));
        await writeJsonAtomic(join(flags.out, "validate.json"), { worlds: results });
      }
      process.stderr.write(`Tables: ${join(flags.out, "validate.md")}\n`);
      if (flags.json) process.stdout.write(`${JSON.stringify({ worlds: results }, null, 2)}\n`);
    });
}

/** Kinds of objectives, or the variants of one file. */
const methodsOf = (words: string[] | undefined) =>
  words?.length === 1 && /\.ya?ml$/.test(words[0]!) ? readMethods(words[0]!) : plainMethods(words);

async function shippedWorlds(): Promise<string[]> {
  const names = await readdir(packagePath("configs/worlds"));
  return names
    .filter((name) => name.endsWith(".yaml"))
    .sort()
    .map((name) => `configs/worlds/${name}`);
}

/** A run with its report; Interrupted after Ctrl-C. */
async function trainWithProgress({ signal }: Cli, run: PlannedRun, place: string): Promise<RunSummary> {
  const { world, method, seed, path, config } = run;
  process.stderr.write(`${place}  ${world}, ${method}, seed ${seed}\n`);
  const stopped = () => new Interrupted("Stopped; finished runs are kept. The same command goes on from here.");
  try {
    const runtime = await openRuntime(config.train);
    const summary = await withProgress(config.train.updates, (progress) =>
      trainPlanned(run, {
        runtime,
        signal,
        onStage: progress.measuring,
        onEvent: progress.show,
        clock: () => performance.now() / 1000,
      }),
    );
    if (!summary) throw stopped();
    await writeReport(path);
    return summary;
  } catch (error) {
    throw signal.aborted && isAbort(error) ? stopped() : error;
  }
}

/** Parser of distinct words separated by commas. */
function words(text: string): string[] {
  const all = text.split(",").map((word) => word.trim());
  if (all.every((word) => word !== "") && new Set(all).size === all.length) return all;
  throw new InvalidArgumentError("Distinct words are needed, separated by commas: ddpo,residual-nabla-db.");
}

/** Parser of distinct whole numbers separated by commas. */
function seedList(text: string): number[] {
  const all = text.split(",").map((word) => word.trim());
  if (all.every((word) => /^\d{1,15}$/.test(word)) && new Set(all.map(Number)).size === all.length)
    return all.map(Number);
  throw new InvalidArgumentError("Distinct whole numbers are needed, separated by commas: 0,1,2.");
}
