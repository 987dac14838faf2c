const MAX_AXES = 64; // PyTorch's own limit

/** What a file may give as a shape; said in messages. */
export const shapeRule = `shape must be a list of at most ${MAX_AXES} integers from 0 on whose product is below 2^53`;

/** Number of values of a shape that was checked. */
export const countOf = (shape: readonly number[]): number => shape.reduce((product, axis) => product * axis, 1);

/** Number of values of a shape that came from a file, or undefined when it is none by `shapeRule`. */
export function shapeCount(shape: readonly number[]): number | undefined {
  if (shape.length > MAX_AXES || !isCounts(shape)) return undefined;
  // Sizes of 0 are left out of the bound: [2^50, 2^50, 0] holds nothing, and still is no shape.
  const bound = shape.reduce((product, axis) => product * Math.max(axis, 1), 1);
  if (bound > Number.MAX_SAFE_INTEGER) return undefined;
  return shape.includes(0) ? 0 : bound;
}

/** Whether a value is a list of integers from 0 on. */
export const isCounts = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
