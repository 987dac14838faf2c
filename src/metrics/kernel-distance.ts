import { NablaError } from "../core/errors.ts";
import { kthSmallest } from "../core/select.ts";
import { dot, type Features, featuresByPrompt, overPrompts } from "./features.ts";
import { defineMetric } from "./metric.ts";

/**
 * Kernels of features x, y of size F:
 * - `polynomial`: (x·y/F + 1)³ [binkowski2018mmd], as the Kernel Inception Distance;
 * - `rbf`: exp(−‖x−y‖²/(2h²)), h² = median squared distance between reference images of the prompt (1 if 0).
 */
export type DistanceKernel = "polynomial" | "rbf";

/**
 * Squared maximum mean discrepancy between the images of a model and of a reference (the pretrained model) with the
 * same prompt, averaged over prompts; `std` is over prompts. The estimate is unbiased, so equal laws give 0 on average
 * and single values may be negative; 16 or more images per prompt.
 *
 * @param again images of the reference with other seeds, as many: their distance to the reference is the `floor`
 */
export const kernelDistance = defineMetric(
  {
    kind: "kernel-distance",
    summary: "unbiased kernel distance (MMD^2) of features to the pretrained model per prompt, averaged over prompts",
    better: "lower",
  },
  (features: Features, reference: Features, kernel: DistanceKernel = "polynomial", again?: Features) => {
    const toReference = distanceTo(featuresByPrompt(reference), kernel);
    return {
      ...promptAverage(features, toReference),
      n: features.prompts.length,
      ...(again && { floor: promptAverage(again, toReference).value }),
    };
  },
);

const promptAverage = (features: Features, toReference: ReturnType<typeof distanceTo>) =>
  overPrompts([...featuresByPrompt(features)].map(([prompt, rows]) => toReference(prompt, rows)));

/** The distance of images of a prompt to the reference's; what needs the reference alone is computed once per prompt. */
function distanceTo(references: ReadonlyMap<string, readonly Float64Array[]>, kernel: DistanceKernel) {
  const known = new Map<string, { k: KernelFunction; within: number }>();
  return (prompt: string, x: readonly Float64Array[]): number => {
    const y = references.get(prompt) ?? [];
    if (x.length < 2 || y.length < 2) {
      throw new NablaError(
        `The kernel distance needs 2 or more images of every prompt and as many of the reference, but ${JSON.stringify(prompt)} has ${x.length} and ${y.length}.`,
      );
    }
    let own = known.get(prompt);
    if (!own) {
      const k = kernel === "polynomial" ? polynomial : rbf(medianSquaredDistance(y));
      own = { k, within: meanOverPairs(y, k) };
      known.set(prompt, own);
    }
    return squaredDiscrepancy(x, y, own);
  };
}

type KernelFunction = (x: Float64Array, y: Float64Array) => number;

const polynomial: KernelFunction = (x, y) => (dot(x, y) / x.length + 1) ** 3;

const rbf =
  (bandwidth2: number): KernelFunction =>
  (x, y) =>
    Math.exp(-squaredDistance(x, y) / (2 * bandwidth2));

/** E k(X, X') + E k(Y, Y') − 2 E k(X, Y), without pairs of a sample with itself [gretton2012kernel] Eq. (3). */
function squaredDiscrepancy(
  x: readonly Float64Array[],
  y: readonly Float64Array[],
  { k, within }: { k: KernelFunction; within: number },
): number {
  let across = 0;
  for (const a of x) for (const b of y) across += k(a, b);
  return meanOverPairs(x, k) + within - (2 * across) / (x.length * y.length);
}

function meanOverPairs(rows: readonly Float64Array[], k: KernelFunction): number {
  let total = 0;
  for (let i = 0; i < rows.length; i++) for (let j = 0; j < i; j++) total += k(rows[i]!, rows[j]!);
  return total / ((rows.length * (rows.length - 1)) / 2);
}

function medianSquaredDistance(rows: readonly Float64Array[]): number {
  const distances = new Float64Array((rows.length * (rows.length - 1)) / 2);
  let at = 0;
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < i; j++) distances[at++] = squaredDistance(rows[i]!, rows[j]!);
  }
  return kthSmallest(distances, Math.floor(distances.length / 2)) || 1;
}

function squaredDistance(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < x.length; d++) sum += (x[d]! - y[d]!) ** 2;
  return sum;
}
