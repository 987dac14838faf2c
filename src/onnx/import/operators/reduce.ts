import { concat, fill, type Tensor, topK } from "../../../tensor/index.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { axesOf, axisOf } from "./axes.ts";

type Reduce = (x: Tensor, axes: readonly number[], keepDims: boolean, node: OnnxNode) => Tensor;

/** Axes are an attribute up to the opset before `operandSince` and an operand from there on; none means all. */
const reduction =
  (f: Reduce, operandSince = 18): Translation =>
  (node) => {
    const x = node.x(0);
    const axes = (node.opset < operandSince ? node.ints("axes") : node.known(1)) ?? [];
    const keepDims = node.flag("keepdims", true);
    if (axes.length > 0) return f(x, axesOf(node, axes, x.rank), keepDims, node);
    return node.flag("noop_with_empty_axes") ? x : f(x, [...x.shape.keys()], keepDims, node);
  };

const MAX_FACTORS = 1024;

/** Π x over axes, as products of slices. */
const product: Reduce = (x, axes, keepDims, node) => {
  const multiplied = axes.reduce((y, axis) => {
    const size = y.shape[axis]!;
    if (size < 1 || size > MAX_FACTORS)
      node.fail(`a product of 1 to ${MAX_FACTORS} factors is translated, but axis ${axis} has ${size}.`);
    const factors = Array.from({ length: size }, (_, k) => y.slice(axis, k, k + 1));
    return factors.reduce((a, b) => a.mul(b));
  }, x);
  return keepDims ? multiplied : multiplied.reshape(x.shape.filter((_, i) => !axes.includes(i)));
};

/** Position of the largest or smallest value, the first of equal ones. No gradient flows. */
const arg =
  (largest: boolean): Translation =>
  (node) => {
    const x = node.x(0).cast("float32");
    if (node.flag("select_last_index"))
      node.fail("of equal values the first is taken, but select_last_index asks for the last.");
    const axis = axisOf(node, node.int("axis", 0), x.rank);
    const { indices } = topK(x, 1, axis, largest);
    return node.flag("keepdims", true) ? indices : indices.reshape(x.shape.toSpliced(axis, 1));
  };

const largest: Translation = (node) => {
  const k = node.knownNumber(1) ?? node.fail("the number of values k is needed.");
  const { values, indices } = topK(
    node.x(0),
    k,
    axisOf(node, node.int("axis", -1), node.x(0).rank),
    node.flag("largest", true),
  );
  return [values, indices];
};

/** Running sum; exclusive leaves the element itself out. */
const cumsum: Translation = (node) => {
  const x = node.x(0);
  const axis = axisOf(node, node.knownNumber(1) ?? node.fail("the axis is needed."), x.rank);
  const reverse = node.flag("reverse");
  const sum = x.cumsum(axis, reverse);
  if (!node.flag("exclusive")) return sum;
  const size = x.shape[axis]!;
  const zero = fill(
    x.shape.map((d, i) => (i === axis ? 1 : d)),
    0,
    x.dtype,
  );
  if (size === 1) return zero;
  return reverse ? concat([sum.slice(axis, 1, size), zero], axis) : concat([zero, sum.slice(axis, 0, size - 1)], axis);
};

/** Operators that sum up axes or put them in order. */
export const reductions: Translations = {
  ReduceSum: reduction((x, axes, keep) => x.sum(axes, keep), 13),
  ReduceMean: reduction((x, axes, keep) => x.mean(axes, keep)),
  ReduceMax: reduction((x, axes, keep) => x.max(axes, keep)),
  ReduceMin: reduction((x, axes, keep) => x.min(axes, keep)),
  ReduceProd: reduction(product),
  ReduceL1: reduction((x, axes, keep) => x.abs().sum(axes, keep)),
  ReduceL2: reduction((x, axes, keep) => x.square().sum(axes, keep).sqrt()),
  ReduceSumSquare: reduction((x, axes, keep) => x.square().sum(axes, keep)),
  ReduceLogSum: reduction((x, axes, keep) => x.sum(axes, keep).log()),
  ReduceLogSumExp: reduction((x, axes, keep) => x.logSumExp(axes, keep)),
  ArgMax: arg(true),
  ArgMin: arg(false),
  TopK: largest,
  CumSum: cumsum,
};
