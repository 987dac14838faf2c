import { ConfigError } from "../core/errors.ts";
import type { Chain, Sampler } from "../diffusion/index.ts";
import type { Objective } from "../objectives/index.ts";

/**
 * Refuses a chain that the objective cannot be trained on; without a chain, what no model could mend, before one is loaded.
 * Throws ConfigError.
 */
export function checkChain(objective: Objective, sampler: Sampler, chain?: Chain): void {
  if (!(chain ?? sampler).stochastic) {
    throw new ConfigError(
      `${objective.kind} needs a chain with noise in every step, but sampler "${sampler.kind}" has a step with σ = 0. Raise sampler.eta, or use "ddpm".`,
    );
  }
  if (objective.needs.includes("memoryless-chain") && !(chain ? chain.memoryless : sampler.reversesMarkov)) {
    throw new ConfigError(
      `${objective.kind} reaches its target only on a chain that forgets its start, but sampler "${sampler.kind}" with these options does not: its kernels must reverse a noising chain (ddpm, ddim with eta 1, flow with noise memoryless) and its grid must start at noise. Use one of those with more steps, or an objective without a target law such as "ddpo".`,
    );
  }
}
