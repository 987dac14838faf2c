import { z } from "zod";

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
  floor: Record<string, number>;
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

const references = { target: numbers.default({}), floor: numbers.default({}), pretrained: numbers.default({}) };

const exactMeasures = z.looseObject(references).transform(({ target, floor, pretrained, ...rest }): ExactMeasures => {
  return { finetuned: numbers.parse(rest), target, floor, pretrained };
});

const exact = z.intersection(exactMeasures, z.object({ prompts: z.record(z.string(), exactMeasures).default({}) }));

export const summarySchema = z.object({
  before: measured.optional(),
  after: measured.optional(),
  seconds: z.number().optional(),
  exact: exact.optional(),
});
