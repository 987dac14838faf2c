import { ConfigError, NonFiniteError } from "../core/errors.ts";
import { openRunDirectory, type RunSummary } from "../run/index.ts";
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

async function outcomeOf(run: PlannedRun, train: () => Promise<RunSummary>): Promise<Outcome> {
  const { seed, path } = run;
  try {
    const { exact } = (await finishedSummary(run)) ?? (await train());
    if (!exact) throw new ConfigError(`${path}/summary.json has no "exact". Delete that run, or choose another --out.`);
    return { seed, exact };
  } catch (error) {
    if (error instanceof NonFiniteError) return { seed, diverged: error.message };
    throw error;
  }
}

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
