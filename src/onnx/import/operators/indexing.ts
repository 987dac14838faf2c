import { gather, oneHot, type Tensor, takeAlongAxis, where } from "../../../tensor/index.ts";
import { filledInts, floats, ints, isKnown, numbersOf } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { axisOf } from "./axes.ts";

const MAX_RANGE = 2 ** 20;

/** Positions on an axis of `size` entries, negative ones counted from its end. Known ones outside of it are refused. */
function positions(node: OnnxNode, ids: Tensor, size: number): Tensor {
  if (ids.dtype !== "int32") node.fail("indices must be integers.");
  if (!isKnown(ids)) return where(ids.less(0), ids.add(size), ids);
  const front = numbersOf(ids).map((id) => (id < 0 ? id + size : id));
  const wrong = front.findIndex((id) => id < 0 || id >= size);
  if (wrong >= 0) node.fail(`indices lie in [${-size}, ${size - 1}], but ${numbersOf(ids)[wrong]} came.`);
  return ints(front, ids.shape);
}

const gatherNode: Translation = (node) => {
  const x = node.x(0);
  const axis = axisOf(node, node.int("axis", 0), x.rank);
  const ids = positions(node, node.x(1), x.shape[axis]!);
  const [first] = isKnown(ids) && ids.size === 1 ? numbersOf(ids) : [];
  // One entry is a slice: cheaper than a general gather, above all its gradient.
  if (first !== undefined) return x.slice(axis, first, first + 1).reshape(x.shape.toSpliced(axis, 1, ...ids.shape));
  return gather(x, ids, axis);
};

const gatherElements: Translation = (node) => {
  const [x, ids] = [node.x(0), node.x(1)];
  const axis = axisOf(node, node.int("axis", 0), x.rank);
  const cut = x.shape.reduce((y, size, i) => {
    const wanted = ids.shape[i] ?? size;
    return i !== axis && wanted < size ? y.slice(i, 0, wanted) : y; // only the lines that ids has
  }, x);
  return takeAlongAxis(cut, positions(node, ids, x.shape[axis]!), axis);
};

/** The entries of x [...batch, ...picked, ...rest] that the last axis of the indices names, one number per picked axis. */
const gatherNd: Translation = (node) => {
  const [x, ids] = [node.x(0), node.x(1)];
  const batch = node.int("batch_dims", 0);
  const picked = ids.shape.at(-1) ?? 0;
  const before = x.shape.slice(0, batch);
  if (!(batch >= 0 && picked >= 1 && batch + picked <= x.rank) || before.some((d, i) => d !== ids.shape[i])) {
    node.fail(
      `indices [${ids.shape}] with batch_dims = ${batch} must name entries of an operand of shape [${x.shape}].`,
    );
  }
  const count = before.reduce((n, d) => n * d, 1);
  if (count > MAX_RANGE) node.fail(`batch axes have at most ${MAX_RANGE} entries, but [${before}] came.`);
  const outer = ids.shape.slice(0, -1);
  const rows = ints([...Array(count).keys()], [...before, ...outer.slice(batch).map(() => 1)]);
  const place = x.shape.slice(batch, batch + picked).reduce((at, size, j) => {
    const next = positions(node, ids.slice(-1, j, j + 1).reshape(outer), size);
    return at.mul(size).add(next);
  }, rows);
  return gather(x.reshape([-1, ...x.shape.slice(batch + picked)]), place, 0);
};

/** off and on at the classes; indices may be negative. */
const oneHotNode: Translation = (node) => {
  const ids = node.x(0).cast("int32");
  const depth = node.knownNumber(1) ?? node.fail("the depth is needed.");
  if (!(Number.isInteger(depth) && depth >= 1 && depth <= MAX_RANGE))
    node.fail(`the depth is a whole number from 1 to ${MAX_RANGE}, but is ${depth}.`);
  const [off = 0, on = 1] = node.known(2) ?? [];
  const axis = axisOf(node, node.int("axis", -1), ids.rank + 1);
  const hot = oneHot(where(ids.less(0), ids.add(depth), ids), depth)
    .mul(on - off)
    .add(off);
  const order = [...ids.shape.keys()];
  return hot.transpose(order.toSpliced(axis, 0, ids.rank)).cast(node.x(2).dtype);
};

/** The shape of an operand, from `start` to before `end`. */
const shape: Translation = (node) => {
  const { shape: sizes } = node.x(0);
  return ints(sizes.slice(node.int("start", 0), node.int("end", sizes.length)));
};

const constantNode: Translation = (node) => {
  const tensor = node.tensor("value");
  if (tensor) return tensor;
  if (node.has("value_float")) return floats([node.float("value_float", 0)], []);
  if (node.has("value_int")) return ints(int32(node, [node.int("value_int", 0)]), []);
  const numbers = node.floats("value_floats");
  if (numbers) return floats(numbers, [numbers.length]);
  return ints(
    int32(
      node,
      node.ints("value_ints") ?? node.fail("numbers are needed; texts and sparse tensors are not translated."),
    ),
  );
};

function int32(node: OnnxNode, values: readonly number[]): readonly number[] {
  const wide = values.find((v) => v !== (v | 0));
  if (wide !== undefined) node.fail(`integers are computed with 32 bits, but ${wide} needs more.`);
  return values;
}

/** A shape filled with one value: float zeros when the node does not say. */
const constantOfShape: Translation = (node) => {
  const wanted = node.known(0) ?? node.fail("the shape is needed.");
  if (wanted.some((d) => d < 0)) node.fail(`sizes are 0 or more, but [${wanted}] came.`);
  const value = node.tensor("value") ?? floats([0], [1]);
  if (value.size !== 1) node.fail(`the value is one number, but ${value.size} came.`);
  return value.reshape([]).expand(wanted);
};

/** start, start + delta … before limit. */
const range: Translation = (node) => {
  const [start, limit, delta] = [0, 1, 2].map(
    (k) => node.knownNumber(k) ?? node.fail("start, limit and delta are needed."),
  );
  const length = Math.max(0, Math.ceil((limit! - start!) / delta!));
  if (!(length <= MAX_RANGE)) node.fail(`a range has at most ${MAX_RANGE} numbers, but ${length} would come.`);
  const values = Array.from({ length }, (_, k) => start! + k * delta!);
  return node.x(0).dtype === "int32" ? ints(values) : floats(values, [length]);
};

/** Zeros above (upper = 0) or below the k-th diagonal of the last two axes. */
const trilu: Translation = (node) => {
  const x = node.x(0);
  if (x.rank < 2) node.fail("a matrix is needed.");
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  if (rows * columns > MAX_RANGE)
    node.fail(`a matrix has at most ${MAX_RANGE} entries here, but [${rows}, ${columns}] came.`);
  const k = node.knownNumber(1) ?? 0;
  const upper = node.flag("upper", true);
  const kept = Array.from({ length: rows * columns }, (_, at) => {
    const diagonal = (at % columns) - Math.floor(at / columns);
    return Number(upper ? diagonal >= k : diagonal <= k);
  });
  return where(floats(kept, [rows, columns]), x, 0);
};

/** Operators that make numbers, shapes among them, or pick values by position. */
export const indexings: Translations = {
  Gather: gatherNode,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  OneHot: oneHotNode,
  Shape: shape,
  Size: (node) => filledInts([], node.x(0).size),
  Constant: constantNode,
  ConstantOfShape: constantOfShape,
  Range: range,
  Trilu: trilu,
};
