import { ShapeError } from "../core/errors.ts";

/** Sizes per axis, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements of a shape. */
export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

export const showShape = (shape: Shape): string => `[${shape.join(", ")}]`;

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis]!;
  }
  return strides;
}

/** Shape of `a ∘ b` under NumPy broadcasting. Throws ShapeError naming the operator. */
export function broadcastShapes(operator: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da !== db && da !== 1 && db !== 1) {
      throw new ShapeError(
        `${operator}: shapes ${showShape(a)} and ${showShape(b)} do not broadcast: from the right, sizes must be equal or 1 (here ${da} against ${db}).`,
      );
    }
    out.push(da === 1 ? db : da);
  }
  return out;
}

/** One axis counted from the front, a negative one resolved; throws when out of range. */
export const normalizeAxis = (operator: string, axis: number, rank: number): number =>
  normalizeAxes(operator, [axis], rank)[0]!;

/**
 * Calls `visit(start, stride)` for each line of elements along one axis: element k of the line lies at start + k·stride.
 */
export function eachLine(shape: Shape, axis: number, visit: (start: number, stride: number) => void): void {
  const stride = sizeOf(shape.slice(axis + 1));
  const outer = sizeOf(shape.slice(0, axis));
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < stride; i++) visit(o * shape[axis]! * stride + i, stride);
  }
}

/** Axes counted from the front, negative ones resolved; throws when out of range or repeated. */
export function normalizeAxes(operator: string, axes: readonly number[], rank: number): number[] {
  const resolved = axes.map((axis) => (axis < 0 ? axis + rank : axis));
  for (const axis of resolved) {
    if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
      throw new ShapeError(
        `${operator}: axes ${JSON.stringify(axes)} must lie in [${-rank}, ${rank - 1}] for rank ${rank}.`,
      );
    }
  }
  if (new Set(resolved).size !== resolved.length)
    throw new ShapeError(`${operator}: axes ${JSON.stringify(axes)} repeat an axis.`);
  return resolved.sort((p, q) => p - q);
}
