import { NonFiniteError } from "../core/errors.ts";
import { Rng } from "../core/rng.ts";
import { partMeans } from "../sample/image-scorer.ts";
import { logVariances } from "../sample/learned-variance.ts";
import { advantages, groupAdvantages } from "./advantages.ts";
import type { LoopOptions } from "./finetune-options.ts";
import { lambdaReturns } from "./lambda-returns.ts";
import type { Rollout } from "./minibatch.ts";
import { type Programs, returnSources } from "./programs.ts";
import type { TrainState } from "./train-state.ts";

/** Samples trajectories with the policy and scores them. Throws NonFiniteError for a reward that is no number. */
export async function sampleRollout(
  { config, parts }: LoopOptions,
  state: TrainState,
  programs: Programs,
): Promise<Rollout> {
  const { trajectories: count, seed, updatesPerRollout } = config.train;
  const rng = new Rng(seed);
  const rolloutIndex = Math.floor(state.update / updatesPerRollout);
  const { groups } = parts.objective;
  const groupSize = groups?.size ?? 1;
  const prompts = choosePrompts(parts.prompts, count / groupSize, rng, rolloutIndex).flatMap((prompt) =>
    new Array<string>(groupSize).fill(prompt),
  );
  const startOf = (sample: number) => (groups?.sharedNoise ? sample - (sample % groupSize) : sample);
  const noiseAt = (out: Float32Array, offset: number, size: number, sample: number, step: number) =>
    rng.fillNormal(out, offset, size, { purpose: "rollout", sample: rolloutIndex * count + sample, step });
  const initial = await programs.initialLaw?.draw(prompts, (out, offset, size, sample, i) =>
    noiseAt(out, offset, size, startOf(sample), parts.chain.T + 1 + i),
  );
  const trajectories = await programs.sampler.sample({
    prompts,
    conditions: programs.conditions,
    trained: state.sampling,
    logVariance: logVariances(state.params.policy, parts.chain),
    keepStates: true,
    initial,
    noise: (out, offset, size, sample, i) => noiseAt(out, offset, size, i === 0 ? startOf(sample) : sample, i),
  });
  const { rewards, parts: scored } = await programs.scorer.score(trajectories.states[parts.chain.T]!, prompts);
  const bad = rewards.findIndex((r) => !Number.isFinite(r));
  if (bad >= 0) {
    throw new NonFiniteError(
      `Update ${state.update + 1}: the reward of a sample is ${rewards[bad]} (prompt "${prompts[bad]}", trajectory ${bad}, seed ${seed}). The last good checkpoint is kept.`,
    );
  }
  const rewardParts = partMeans(scored);
  const { needs, returns } = parts.objective;
  return {
    trajectories,
    rewards,
    ...(rewardParts && { rewardParts }),
    ...(needs.includes("advantage") && {
      advantages: groups?.advantageStd
        ? groupAdvantages(rewards, groupSize, groups.advantageStd)
        : advantages(rewards, prompts, state.rewardHistory),
    }),
    ...(returns &&
      "lambda" in returns && {
        returns: await lambdaReturns(returnSources(programs, parts, state, trajectories), returns.lambda),
      }),
  };
}

/** Prompts of a rollout: whole rounds of a random order, so that each is seen equally often. */
function choosePrompts(prompts: readonly string[], count: number, rng: Rng, rollout: number): string[] {
  const first = rollout * count;
  return Array.from({ length: count }, (_, k) => {
    const round = Math.floor((first + k) / prompts.length);
    const order = rng.permutation(prompts.length, { purpose: "prompts", sample: round });
    return prompts[order[(first + k) % prompts.length]!]!;
  });
}
