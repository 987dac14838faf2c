import { effectiveSampleSize, systematicResample } from "../core/importance.ts";
import type { Rng } from "../core/rng.ts";
import { imagesByPrompt } from "../metrics/features.ts";

/** What was drawn from the candidates of one prompt. */
export interface Resampled {
  readonly prompt: string;
  /** Candidates, ascending; one of large weight stands here more than once. */
  readonly indices: readonly number[];
  /** Effective number of independent candidates, (Σw)²/Σw². */
  readonly ess: number;
  readonly candidates: number;
}

/**
 * `count` of each prompt's candidates, drawn by their weights within the prompt: with w = exp(β r − log π_θ/π_#) the draws
 * follow the exactly tilted pretrained sampler as far as the effective sample size goes. Uses stream `metric`.
 */
export function resampleByPrompt(
  logWeights: ArrayLike<number>,
  prompts: readonly string[],
  count: number,
  rng: Rng,
): Resampled[] {
  return [...imagesByPrompt(prompts)].map(([prompt, members], sample) => {
    const own = members.map((j) => logWeights[j]!);
    const chosen = systematicResample(own, count, rng, { purpose: "metric", sample });
    return {
      prompt,
      indices: Array.from(chosen, (k) => members[k]!),
      ess: effectiveSampleSize(own),
      candidates: members.length,
    };
  });
}
