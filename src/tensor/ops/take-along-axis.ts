import { ShapeError } from "../../core/errors.ts";
import { dtypeOfFirst, requireFloat32, requireInt32 } from "../dtypes.ts";
import { defineOperator, type Emitter, type OperatorSample } from "../operator.ts";
import { eachLine, normalizeAxis, type Shape, sameShape, showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";

/**
 * y[…, k, …] = x[…, ids[…, k, …], …]: along one axis each line of x is indexed by the same line of ids. ids is int32, has
 * the shape of x except on that axis, and must lie in [0, N) for an axis of N entries. The result has the shape of ids.
 */
export const takeAlongAxis = (x: Tensor, ids: Tensor, axis: number): Tensor =>
  apply("takeAlongAxis", [x, ids], { axis: normalizeAxis("takeAlongAxis", axis, x.rank) });

/** The gradient of `takeAlongAxis`: along one axis of `size` zeros, the values are added where the ids point. */
const addAlongAxis = (values: Tensor, ids: Tensor, axis: number, size: number): Tensor =>
  apply("addAlongAxis", [values, ids], { axis, size });

/** Adds the values into zeros of a shape, where the ids point along an axis. */
export function emitScatterAdd(e: Emitter, values: string, ids: string, axis: number, shape: Shape): string {
  const zeros = e.node("Expand", [e.floats([0], []), e.ints(shape)]);
  return e.node("ScatterElements", [zeros, ids, values], { axis, reduction: "add" });
}

/** Calls `visit(longIndex, shortIndex)` for every id: where it points in `long` and where it stands in ids. */
function eachId(
  long: Shape,
  ids: { shape: Shape; data: Float64Array },
  axis: number,
  visit: (i: number, k: number) => void,
) {
  const starts: number[] = [];
  eachLine(long, axis, (start) => starts.push(start));
  let line = 0;
  eachLine(ids.shape, axis, (start, stride) => {
    const from = starts[line++]!;
    for (let k = 0; k < ids.shape[axis]!; k++) {
      const at = start + k * stride;
      visit(from + ids.data[at]! * stride, at);
    }
  });
}

const withSize = (shape: Shape, axis: number, size: number) => shape.map((d, i) => (i === axis ? size : d));
const sample = (x: Shape, ids: Shape, axis: number, integers?: number): OperatorSample => ({
  inputs: [integers === undefined ? { shape: x } : { shape: x, integers }, { shape: ids, integers: 3 }],
  attrs: { axis },
});

defineOperator({
  name: "takeAlongAxis",
  dtype(inputs) {
    requireInt32("takeAlongAxis", inputs[1]!);
    return dtypeOfFirst(inputs);
  },
  shape([x, ids], attrs) {
    const axis = attrs.axis as number;
    if (!sameShape(x!.shape, withSize(ids!.shape, axis, x!.shape[axis]!))) {
      throw new ShapeError(
        `takeAlongAxis: x and ids must agree off axis ${axis}, but ${showShape(x!.shape)} and ${showShape(ids!.shape)} came.`,
      );
    }
    return ids!.shape;
  },
  reference([x, ids], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachId(x!.shape, ids!, attrs.axis as number, (i, k) => {
      out[k] = x!.data[i]!;
    });
    return out;
  },
  vjp({ inputs: [x, ids], attrs }, v) {
    const axis = attrs.axis as number;
    return [addAlongAxis(v.cast("float32"), ids!, axis, x!.shape[axis]!).cast(v.dtype), null];
  },
  emit: (e, inputs, { attrs }) => e.node("GatherElements", inputs, { axis: attrs.axis as number }),
  samples: () => [
    sample([3, 4], [3, 2], 1),
    sample([2, 3, 2], [2, 5, 2], 1),
    sample([3], [2], 0),
    sample([3, 2], [2, 2], 0, 9),
  ],
});

defineOperator({
  name: "addAlongAxis",
  dtype([values, ids]) {
    requireInt32("addAlongAxis", ids!);
    return requireFloat32("addAlongAxis", [values!]);
  },
  shape([values, ids], attrs) {
    if (!sameShape(values!.shape, ids!.shape)) {
      throw new ShapeError(
        `addAlongAxis: values and ids must have one shape, but ${showShape(values!.shape)} and ${showShape(ids!.shape)} came.`,
      );
    }
    return withSize(ids!.shape, attrs.axis as number, attrs.size as number);
  },
  reference([values, ids], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachId(shape, ids!, attrs.axis as number, (i, k) => {
      out[i]! += values!.data[k]!;
    });
    return out;
  },
  vjp: ({ inputs: [, ids], attrs }, v) => [takeAlongAxis(v, ids!, attrs.axis as number), null],
  emit: (e, [values, ids], { attrs, output }) => emitScatterAdd(e, values!, ids!, attrs.axis as number, output.shape),
  samples: () =>
    [sample([3, 2], [3, 2], 1), sample([2, 5, 2], [2, 5, 2], 1), sample([4], [4], 0)].map((s) => ({
      ...s,
      attrs: { ...s.attrs, size: 3 },
    })),
});
