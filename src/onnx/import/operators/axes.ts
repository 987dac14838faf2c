import { concat, fill, type Tensor } from "../../../tensor/index.ts";
import type { OnnxNode } from "../node.ts";

/** An axis counted from the front. `rank` may count axes that are still to be made. */
export function axisOf(node: OnnxNode, axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis;
  if (!(Number.isInteger(front) && front >= 0 && front < rank))
    node.fail(`axes lie in [${-rank}, ${rank - 1}], but ${axis} came.`);
  return front;
}

/** Axes counted from the front, each once. */
export function axesOf(node: OnnxNode, axes: readonly number[], rank: number): number[] {
  const front = axes.map((axis) => axisOf(node, axis, rank));
  if (new Set(front).size < front.length) node.fail(`each axis may be named once, but ${JSON.stringify(axes)} came.`);
  return front;
}

/** Entries before and after along one axis, all of one value; a negative number cuts entries away. */
export function padded(x: Tensor, axis: number, before: number, after: number, value: number): Tensor {
  const size = x.shape[axis]!;
  const kept = before < 0 || after < 0 ? x.slice(axis, Math.max(0, -before), size - Math.max(0, -after)) : x;
  const block = (count: number) =>
    count > 0
      ? [
          fill(
            x.shape.map((d, i) => (i === axis ? count : d)),
            value,
            x.dtype,
          ),
        ]
      : [];
  return concat([...block(before), kept, ...block(after)], axis);
}

/** Entries 0, step, 2·step … of an axis: `count` of them. */
export function strided(x: Tensor, axis: number, step: number, count: number): Tensor {
  if (step === 1) return x.slice(axis, 0, count);
  const missing = count * step - x.shape[axis]!;
  const whole = padded(x, axis, 0, missing, 0); // as many entries as whole steps, cut where there are more
  const rows = whole.reshape(whole.shape.toSpliced(axis, 1, count, step));
  return rows.slice(axis + 1, 0, 1).reshape(whole.shape.map((d, i) => (i === axis ? count : d)));
}
