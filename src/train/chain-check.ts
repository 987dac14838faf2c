import { ConfigError } from "../core/errors.ts";
import type { Chain, Sampler } from "../diffusion/index.ts";
import type { Model } from "../models/index.ts";
import type { Objective } from "../objectives/index.ts";

/**
 * Refuses a chain that the objective cannot be trained on; without a chain, what no model could mend, before one is loaded.
 * Throws ConfigError.
 */
export function checkChain(objective: Objective, sampler: Sampler, chain?: Chain): void {
  if (objective.chain === "stochastic" && !(chain ?? sampler).stochastic) {
    throw new ConfigError(
      `${objective.kind} needs a chain with noise in every step, but sampler "${sampler.kind}" has a step with σ = 0. Raise sampler.eta (flow: sampler.noise), or use "ddpm".`,
    );
  }
  const noisy = chain ? chain.steps.some(({ sigma }) => sigma > 0) : sampler.stochastic;
  if (objective.chain === "deterministic" && noisy) {
    throw new ConfigError(
      `${objective.kind} steers a chain without noise, but sampler "${sampler.kind}" with these options has some. Use ddim with eta 0 or flow with noise 0, or an objective for chains with noise, such as "residual-nabla-db".`,
    );
  }
  if (objective.needs.includes("memoryless-chain") && !(chain ? chain.memoryless : sampler.reversesMarkov)) {
    throw new ConfigError(
      `${objective.kind} reaches its target only on a chain that forgets its start, but sampler "${sampler.kind}" with these options does not: its kernels must reverse a noising chain (ddpm, ddim with eta 1, flow with noise memoryless) and its grid must start at noise. Use one of those with more steps, or in an exact world "kl-control" with initialLaw: learned, or an objective without a target law such as "ddpo".`,
    );
  }
}

/** Refuses parts that do not suit the objective: its chain, the law of x_0, the variance of the steps. Throws ConfigError. */
export function checkParts(
  objective: Objective,
  sampler: Sampler,
  { model, chain }: { model: Model; chain: Chain },
): void {
  checkChain(objective, sampler, chain);
  checkInitialLaw(objective, model);
  checkVariance(objective, model);
}

/** Refuses a model for which no law of x_0 can be learned, where the objective asks for one. Throws ConfigError. */
export function checkInitialLaw({ kind, initialLaw }: Objective, model: Model): void {
  if (initialLaw && !model.prior) {
    throw new ConfigError(
      `${kind} with initialLaw: learned learns the law of x_0 in exact worlds only, but the model is of kind "${model.kind}". Use initialLaw: fixed with a sampler that forgets its start: ddpm, ddim with eta 1, flow with noise memoryless.`,
    );
  }
}

/** Refuses a learned variance outside exact worlds, where nothing shows yet that it helps. Throws ConfigError. */
export function checkVariance({ kind, learnsVariance }: Objective, { kind: model, prior }: Model): void {
  if (!learnsVariance || prior) return;
  throw new ConfigError(
    `${kind} with variance: learned is an experiment on exact worlds (model.kind gaussian-mixture), but model.kind is "${model}". Set objective.variance: fixed, or raise sampler.steps, which helps against the same error.`,
  );
}
