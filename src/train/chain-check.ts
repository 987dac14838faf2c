import { ConfigError } from "../core/errors.ts";
import type { Chain, NoiseSchedule, Sampler } from "../diffusion/index.ts";
import type { Objective } from "../objectives/index.ts";

/** So much noise that every grid of two steps or more starts at noise. */
const nominal: NoiseSchedule = { trainSteps: 1000, betaSchedule: "linear", betaStart: 1e-4, betaEnd: 0.05 };

/**
 * Refuses a chain that the objective cannot be trained on. Whether steps have noise and forget where they started is up
 * to the sampler alone: without a chain, it is judged on a nominal schedule, before a model is loaded. Throws ConfigError.
 */
export function checkChain(objective: Objective, sampler: Sampler, chain = nominalChain(sampler)): void {
  if (!chain) return;
  if (!chain.stochastic) {
    throw new ConfigError(
      `${objective.kind} needs a chain with noise in every step, but sampler "${sampler.kind}" has a step with σ = 0. Raise sampler.eta, or use "ddpm".`,
    );
  }
  if (objective.needs.includes("memoryless-chain") && !chain.memoryless) {
    throw new ConfigError(
      `${objective.kind} reaches its target only on a chain that forgets its start, but sampler "${sampler.kind}" with these options does not: its kernels must reverse a noising chain (ddpm, ddim with eta 1, flow with noise memoryless) and its grid must start at noise. Use one of those with more steps, or an objective without a target law such as "ddpo".`,
    );
  }
}

/** The sampler's chain for some model; undefined when its options need the model's own schedule to be judged. */
function nominalChain(sampler: Sampler): Chain | undefined {
  for (const prediction of ["epsilon", "velocity"] as const) {
    try {
      return sampler.chain({ scheduler: nominal, prediction });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error; // another prediction, or too many steps for this schedule
    }
  }
  return undefined;
}
