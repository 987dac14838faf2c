import { ConfigError } from "../core/errors.ts";
import type { Program } from "../runtime/index.ts";
import { type ChainSampler, openChainSampler, type Trajectories } from "../sample/chain-sampler.ts";
import { type Conditions, encodePrompts } from "../sample/conditions.ts";
import { openScorer, type Scorer } from "../sample/image-scorer.ts";
import { type InitialLaw, openInitialLaw } from "../sample/initial-law.ts";
import type { LoopOptions } from "./finetune-options.ts";
import { groupRefusal } from "./group-check.ts";
import type { Parts } from "./prepare.ts";
import { compileReturns, type ReturnPrograms, type ReturnSources } from "./return-programs.ts";
import type { TrainState } from "./train-state.ts";
import { transitionsPerTrajectory } from "./transitions.ts";
import { bindParams, compileUpdate, graphOptions } from "./update-program.ts";

/** Everything compiled before the first update; later updates compile nothing. */
export interface Programs {
  conditions: Conditions;
  sampler: ChainSampler;
  /** Where x_0 is not simply N(0, I). */
  initialLaw: InitialLaw | undefined;
  scorer: Scorer;
  update: Program;
  returns: ReturnPrograms | undefined;
  batch: number;
  release(): Promise<void>;
}

/** Throws ConfigError, before anything is compiled, for groups that do not fit: an objective given as a value has passed no configuration check. */
export async function openPrograms(
  { config, parts, runtime, initialLaw: law }: LoopOptions,
  state: TrainState,
): Promise<Programs> {
  const refusal = groupRefusal(parts.objective, config.train);
  if (refusal) throw new ConfigError(refusal);
  const { trajectories, strata, accumulate: pieces, block } = config.train;
  const perTrajectory = transitionsPerTrajectory(parts.objective, parts.chain.T, strata);
  const batch = Math.ceil((trajectories * perTrajectory) / pieces);
  const bound = bindParams(parts, state.params.policy, state.params.flow);
  const conditions = await encodePrompts(runtime, parts.model, parts.prompts, parts.guidance);
  const sampler = await openChainSampler(runtime, {
    model: parts.model,
    chain: parts.chain,
    guidance: parts.guidance,
    block,
    params: bound.policy,
  });
  const initialLaw = law && (await openInitialLaw(runtime, parts.model, law, { prompts: parts.prompts, block }));
  const scorer = await openScorer(runtime, parts.model, parts.reward, block);
  const update = await compileUpdate(runtime, parts, bound, batch);
  const returns = parts.objective.returns && (await compileReturns(runtime, graphOptions(parts, bound, block)));
  return {
    conditions,
    sampler,
    initialLaw,
    scorer,
    update,
    returns,
    batch,
    async release() {
      for (const part of [sampler, initialLaw, scorer, update, returns]) await part?.release();
    },
  };
}

/** What returns along trajectories are computed from, for an objective that states them. */
export const returnSources = (
  { conditions, returns }: Programs,
  parts: Parts,
  { trained }: TrainState,
  trajectories: Trajectories,
): ReturnSources => ({ programs: returns!, parts, conditions, trajectories, trained });
