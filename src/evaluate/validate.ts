import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readBoundedText } from "../core/bounded-file.ts";
import { parseConfig } from "../core/config.ts";
import { ConfigError, NonFiniteError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";
import { openRunDirectory, type RunSummary, writeJsonAtomic } from "../run/index.ts";
import type { TrainEvent } from "../train/events.ts";
import { type AlignedRunOptions, finishAlignedRun } from "./aligned-run.ts";
import { finishedSummary, type PlannedRun, type PlanOptions, planValidation } from "./validation-plan.ts";
import { methodResult, type Outcome, type WorldResult, worldReferences } from "./validation-result.ts";

export interface ValidateOptions extends PlanOptions {
  /** Makes a run that has no summary yet. A NonFiniteError counts as a divergence; any other error ends the validation. It is the
   * `index`-th of `count`, from 1. */
  train(run: PlannedRun, place: { readonly index: number; readonly count: number }): Promise<RunSummary>;
}

/**
 * Runs every method on every world with every seed, and yields the result of a world when its runs are done. Finished runs
 * in `out` are taken as they are. Throws ConfigError, before the first run, for what `planValidation` refuses.
 */
export async function* validate({ train, ...plan }: ValidateOptions): AsyncGenerator<WorldResult, void> {
  const worlds = await planValidation(plan);
  const count = worlds.flatMap(({ methods }) => methods.flatMap(({ runs }) => runs)).length;
  let index = 0;
  for (const { world, updates, beta, priorStrength, methods } of worlds) {
    const outcomes = new Map<string, Outcome[]>();
    for (const { method, runs } of methods) {
      const ofMethod: Outcome[] = [];
      for (const run of runs) {
        index++;
        ofMethod.push(await outcomeOf(run, () => train(run, { index, count })));
      }
      outcomes.set(method, ofMethod);
    }
    const finished = [...outcomes.values()].flat().find((outcome) => "exact" in outcome);
    const references = finished && worldReferences(finished.exact);
    yield {
      world,
      updates,
      beta,
      ...(priorStrength !== 1 && { priorStrength }),
      seeds: plan.seeds,
      ...(plan.evaluations !== undefined && { evaluations: plan.evaluations }),
      ...(references && { references }),
      methods: methods.map((planned) => {
        const { method } = planned;
        if ("refused" in planned) return { method, refused: planned.refused };
        return { ...methodResult(planned, outcomes.get(method)!, references), ...planned.cost };
      }),
    };
  }
}

/** What a run has come to: known from its directory, where a divergence is kept as well, or trained. */
async function outcomeOf(run: PlannedRun, train: () => Promise<RunSummary>): Promise<Outcome> {
  const { seed, path } = run;
  const divergence = join(path, "diverged.json");
  const finished = await finishedSummary(run);
  if (!finished && existsSync(divergence)) {
    const known = parseJson(await readBoundedText(divergence, "a divergence"), divergence);
    return { seed, ...parseConfig(divergedRun, known, divergence) };
  }
  try {
    const { exact } = finished ?? (await train());
    if (!exact) throw new ConfigError(`${path}/summary.json has no "exact". Delete that run, or choose another --out.`);
    return { seed, exact };
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    const diverged = error.message;
    if (existsSync(path)) await writeJsonAtomic(divergence, { diverged });
    return { seed, diverged };
  }
}

const divergedRun = z.object({ diverged: z.string() });

export interface TrainPlannedOptions extends Pick<AlignedRunOptions, "runtime" | "signal" | "onStage" | "clock"> {
  onEvent?: (event: TrainEvent) => void;
}

/** Makes a planned run in its directory, from its last checkpoint if it has one; undefined when it was interrupted. */
export async function trainPlanned(
  { path, config }: PlannedRun,
  { onEvent, ...options }: TrainPlannedOptions,
): Promise<RunSummary | undefined> {
  const directory = await openRunDirectory(path, config, { resume: true });
  try {
    return await finishAlignedRun({ ...options, config, directory }, onEvent);
  } finally {
    directory.release();
  }
}
