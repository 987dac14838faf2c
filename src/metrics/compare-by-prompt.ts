import { NablaError, NonFiniteError, ShapeError } from "../core/errors.ts";
import { type Features, featuresByPrompt, overPrompts } from "./features.ts";
import type { Measurement } from "./metric.ts";

type Rows = readonly Float64Array[];

/** What a metric compares: `what` names it in errors, `least` is the fewest images of a prompt it can do with. */
export interface Comparison {
  readonly what: string;
  readonly least: number;
  /** The value of one prompt, of the images x of a model and y of a reference. */
  compare(x: Rows, y: Rows): number;
}

/**
 * Compares the images of a model and of a reference that have the same prompt; the average over prompts, `std` over
 * prompts, and as `floor` the same of `again`, images of the reference with other seeds. Throws ShapeError,
 * NonFiniteError or NablaError for features that do not fit together, are not finite or are too few.
 */
export function compareByPrompt(
  { what, least, compare }: Comparison,
  features: Features,
  reference: Features,
  again?: Features,
): Measurement {
  const references = checkedByPrompt(what, reference);
  const average = (model: Features) => {
    if (model.size !== reference.size) {
      throw new ShapeError(
        `${what} compares features of one size, but got ${model.size} and ${reference.size}. Use one feature network for both.`,
      );
    }
    const models = checkedByPrompt(what, model);
    const perPrompt = [...new Set([...models.keys(), ...references.keys()])].map((prompt) => {
      const x = models.get(prompt) ?? [];
      const y = references.get(prompt) ?? [];
      if (x.length < least || y.length < least) {
        throw new NablaError(
          `${what} needs ${least} or more images of every prompt, and of the reference too, but ${JSON.stringify(prompt)} has ${x.length} and ${y.length}.`,
        );
      }
      return compare(x, y);
    });
    return overPrompts(perPrompt);
  };
  return { ...average(features), n: features.prompts.length, ...(again && { floor: average(again).value }) };
}

/** Feature vectors by prompt. Throws ShapeError unless `data` is [n, size], NonFiniteError for NaN or infinity. */
export function checkedByPrompt(what: string, features: Features): Map<string, Float64Array[]> {
  const { data, size, prompts } = features;
  if (prompts.length === 0 || data.length !== prompts.length * size) {
    throw new ShapeError(
      `${what} takes features [n, ${size}] of n images, 1 or more, but got ${data.length} numbers for ${prompts.length} images.`,
    );
  }
  for (let k = 0; k < data.length; k++) {
    if (!Number.isFinite(data[k])) {
      throw new NonFiniteError(
        `${what} takes finite features, but image ${Math.floor(k / size)} has ${data[k]}. Look at the samples: such an image is usually not finite itself.`,
      );
    }
  }
  return featuresByPrompt(features);
}
