import { z } from "zod";
import { enoughEss } from "../core/importance.ts";

/** Measures of one model by their key in summary.json, and how many images and seeds they were measured on. */
export interface Measured {
  values: Record<string, number>;
  images?: number;
  seeds?: number;
}

/** An exact world: measures of the finetuned sampler beside those of what it is compared with. */
export interface ExactMeasures {
  finetuned: Record<string, number>;
  target: Record<string, number>;
  /** The tilted sampler. Where its weights have collapsed, `ess` alone is left: the rest would be numbers of a few points. */
  floor: Record<string, number>;
  /** What that was drawn by; absent in runs from before there was a choice. */
  tiltedBy?: string | undefined;
  pretrained: Record<string, number>;
}

/** summary.json; a number that could not be measured is NaN. */
export interface Summary {
  before?: Measured | undefined;
  after?: Measured | undefined;
  seconds?: number | undefined;
  /** `prompts`: the same for each prompt, when an exact world has several. */
  exact?: (ExactMeasures & { prompts: Record<string, ExactMeasures> }) | undefined;
}

/** Keeps the entries that are numbers. null is how JSON writes NaN and the infinities. */
const numbers = z.record(z.string(), z.unknown()).transform((entries) => {
  const values: Record<string, number> = {};
  for (const [key, value] of Object.entries(entries)) {
    if (typeof value === "number") values[key] = value;
    else if (value === null) values[key] = Number.NaN;
  }
  return values;
});

const measured = numbers.transform(
  ({ images, seeds, ...values }): Measured => ({
    values,
    ...(images !== undefined && { images }),
    ...(seeds !== undefined && { seeds }),
  }),
);

const references = {
  target: numbers.default({}),
  floor: z.looseObject({ method: z.string().optional() }).default({}),
  pretrained: numbers.default({}),
};

const exactMeasures = z.looseObject(references).transform(({ target, floor, pretrained, ...rest }): ExactMeasures => {
  const { method: tiltedBy, ...tilted } = floor;
  return {
    finetuned: numbers.parse(rest),
    target,
    floor: withoutCollapsed(numbers.parse(tilted)),
    tiltedBy,
    pretrained,
  };
});

/** Of measures that rest on `ess` effective samples. */
function withoutCollapsed(floor: Record<string, number>): Record<string, number> {
  const { ess } = floor;
  return ess === undefined || enoughEss(ess) ? floor : { ess };
}

/** The mean over prompts says nothing where the tilted sampler of one of them has collapsed. */
const exact = z
  .intersection(exactMeasures, z.object({ prompts: z.record(z.string(), exactMeasures).default({}) }))
  .transform(({ floor, ...all }) => {
    const sizes = Object.values(all.prompts).flatMap((prompt) => prompt.floor.ess ?? []);
    return { ...all, floor: withoutCollapsed({ ...floor, ...(sizes.length > 0 && { ess: Math.min(...sizes) }) }) };
  });

export const summarySchema = z.object({
  before: measured.optional(),
  after: measured.optional(),
  seconds: z.number().optional(),
  exact: exact.optional(),
});
