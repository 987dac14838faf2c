import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";
import type { TransitionBatch } from "./objective.ts";

/** Weight λ of the pull towards the policy that sampled the rollout. */
export const proximal = z
  .number()
  .nonnegative()
  .default(0)
  .describe("pull towards the sampling policy; needs updatesPerRollout > 1");

/** Why λ > 0 does not fit one update per rollout, where out_θ = out_old and its gradient is zero (docs/methods.md B.5). */
export const proximalRefusal = (updatesPerRollout: number, { proximal }: { proximal: number }): string | undefined =>
  proximal > 0 && updatesPerRollout === 1
    ? "objective.proximal acts only from the second update on one rollout: with train.updatesPerRollout 1 its gradient is zero. Set that to 2 or more, or proximal to 0."
    : undefined;

/** λ mean ‖out_θ − out_old‖² as a loss of the policy. */
export const proximalLoss = ({ state, oldOutput }: TransitionBatch, weight: number): Tensor =>
  state.policy.out.sub(oldOutput).square().mean().mul(weight);
