import { z } from "zod";
import { type ConfigData, parseConfig } from "../core/config.ts";
import type { Normalization } from "../rewards/reward.ts";

const normalize = z
  .strictObject({
    samples: z.int().min(2).optional().describe("samples of the pretrained model to measure mean and std on, once"),
    mean: z.number().optional(),
    std: z.number().positive().optional(),
  })
  .refine(
    ({ samples, mean, std }) => (mean === undefined) === (std === undefined) && (samples ?? mean) !== undefined,
    "must be { samples: … }, or { mean: …, std: … }",
  );

const weighting = z.strictObject({
  weight: z.number().optional(),
  normalize: normalize.optional(),
});

/**
 * What is subtracted from a reward and what it is divided by: given, or to be measured on so many samples of the pretrained
 * model. A run records both, so that `samples` then says where the numbers come from.
 */
export type Normalize = z.output<typeof normalize>;

/** How a reward enters a sum: w r, or w (r − mean)/std. */
export type Weighting = z.output<typeof weighting>;

/** A reward as a configuration states it; its options are checked by its kind. */
export const rewardEntry = z.looseObject({
  kind: z.string(),
  weight: z.number().optional(),
  normalize: z.custom<Normalize>().optional(), // checked by splitEntry, which can name the key that is wrong
});

/** Parts an entry into how it is weighted, checked, and the rest. Throws ConfigError. */
export function splitEntry<Entry extends object>(
  entry: Entry & Weighting,
  source: string,
): { weighting: Weighting; rest: Omit<Entry, keyof Weighting> } {
  const { weight, normalize: given, ...rest } = entry;
  const stated: ConfigData = {
    ...(weight !== undefined && { weight }),
    ...(given !== undefined && { normalize: given }),
  };
  return { weighting: parseConfig(weighting, stated, source), rest };
}

/** The numbers of a reward that is normalised; undefined where they have still to be measured. */
export function numbersOf({ mean, std }: Normalize): Normalization | undefined {
  return mean === undefined || std === undefined ? undefined : { mean, std };
}
