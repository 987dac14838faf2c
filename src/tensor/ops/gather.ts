import { ShapeError } from "../../core/errors.ts";
import { dtypeOfFirst, requireFloat32, requireInt32 } from "../dtypes.ts";
import { defineOperator } from "../operator.ts";
import { normalizeAxis, showShape, sizeOf } from "../shapes.ts";
import { apply, constant, type Tensor } from "../tensor.ts";

/**
 * Slices of `x` along `axis`, picked by int32 `ids` [...] in any number and order: the axis of N entries becomes the axes
 * of ids. For axis 0, rows of a table [N, …] to [...ids, …]. Ids must lie in [0, N).
 */
export const gather = (x: Tensor, ids: Tensor, axis = 0): Tensor =>
  apply("gather", [x, ids], { axis: normalizeAxis("gather", axis, x.rank) });

/** 1 at the class of each int32 id and 0 elsewhere: ids [...] → float32 [..., classes]. Other ids give only zeros. */
export function oneHot(ids: Tensor, classes: number): Tensor {
  requireInt32("oneHot", ids);
  return ids.reshape([...ids.shape, 1]).equal(
    constant(
      Int32Array.from({ length: classes }, (_, k) => k),
      [classes],
    ),
  );
}

/** The gradient of `gather`: sums the rows of `values` [...ids, …] into a table of `rows` rows. */
const scatterRows = (values: Tensor, ids: Tensor, rows: number): Tensor =>
  apply("scatterRows", [values, ids], { rows });

defineOperator({
  name: "gather",
  dtype(inputs) {
    requireInt32("gather", inputs[1]!);
    return dtypeOfFirst(inputs);
  },
  shape: ([x, ids], attrs) => x!.shape.toSpliced(attrs.axis as number, 1, ...ids!.shape),
  reference([x, ids], attrs, shape) {
    const axis = attrs.axis as number;
    const size = x!.shape[axis]!;
    const width = sizeOf(x!.shape.slice(axis + 1));
    const out = new Float64Array(sizeOf(shape));
    let at = 0;
    for (let before = 0; before < sizeOf(x!.shape.slice(0, axis)); before++) {
      for (const id of ids!.data) {
        const from = (before * size + id) * width;
        out.set(x!.data.subarray(from, from + width), at);
        at += width;
      }
    }
    return out;
  },
  // v [...before, ...ids, …after] → [...ids, ...before, …after] → rows [N, ...before, …after] → [...before, N, …after]
  vjp({ inputs: [x, ids], attrs }, v) {
    const axis = attrs.axis as number;
    const size = x!.shape[axis]!;
    const sums = (values: Tensor) => scatterRows(values.cast("float32"), ids!, size).cast(v.dtype);
    if (axis === 0) return [sums(v), null];
    const order = v.shape.map((_, i) => i);
    const rows = sums(v.transpose([...order.splice(axis, ids!.rank), ...order]));
    const others = rows.shape.map((_, i) => i).slice(1);
    return [rows.transpose(others.toSpliced(axis, 0, 0)), null];
  },
  emit: (e, inputs, { attrs }) => e.node("Gather", inputs, { axis: attrs.axis as number }),
  samples: () => [
    { inputs: [{ shape: [4, 5] }, { shape: [2, 3], integers: 4 }], attrs: { axis: 0 } },
    { inputs: [{ shape: [2, 4, 3] }, { shape: [2, 2], integers: 4 }], attrs: { axis: 1 } },
    { inputs: [{ shape: [2, 3, 4] }, { shape: [], integers: 4 }], attrs: { axis: 2 } },
    {
      inputs: [
        { shape: [4, 2], integers: 9 },
        { shape: [3], integers: 4 },
      ],
      attrs: { axis: 0 },
    },
  ],
});

defineOperator({
  name: "scatterRows",
  dtype([values, ids]) {
    requireInt32("scatterRows", ids!);
    return requireFloat32("scatterRows", [values!]);
  },
  shape([values, ids], attrs) {
    if (showShape(values!.shape.slice(0, ids!.rank)) !== showShape(ids!.shape)) {
      throw new ShapeError(
        `scatterRows: values must start with the shape of ids, but ${showShape(values!.shape)} and ${showShape(ids!.shape)} came.`,
      );
    }
    return [attrs.rows as number, ...values!.shape.slice(ids!.rank)];
  },
  reference([values, ids], _, shape) {
    const width = sizeOf(shape.slice(1));
    const out = new Float64Array(sizeOf(shape));
    ids!.data.forEach((id, k) => {
      for (let j = 0; j < width; j++) out[id * width + j]! += values!.data[k * width + j]!;
    });
    return out;
  },
  vjp: ({ inputs: [, ids] }, v) => [gather(v, ids!), null],
  // A product with the one-hot matrix: deterministic with any number of threads, unlike a parallel scatter-add.
  emit(e, [values, ids], { inputs, attrs, output }) {
    const count = inputs[1]!.size;
    const flatIds = e.node("Cast", [e.node("Reshape", [ids!, e.ints([count])])], { to: 7 }); // int64
    const oneHot = e.node("OneHot", [flatIds, e.ints([attrs.rows as number], []), e.floats([0, 1], [2])], { axis: 0 });
    const flat = e.node("Reshape", [values!, e.ints([count, output.size / output.shape[0]!])]);
    return e.node("Reshape", [e.node("MatMul", [oneHot, flat]), e.ints(output.shape)]);
  },
  samples: () => [{ inputs: [{ shape: [2, 3, 5] }, { shape: [2, 3], integers: 4 }], attrs: { rows: 4 } }],
});
