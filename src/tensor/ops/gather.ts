import { ShapeError } from "../../core/errors.ts";
import { defineOperator } from "../operator.ts";
import { showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";

/** Rows of `table` [N, …] picked by int32 `ids` [...]: result [...ids, …]. Ids must lie in [0, N). */
export const gather = (table: Tensor, ids: Tensor): Tensor => apply("gather", [table, ids]);

/** The gradient of `gather`: sums the rows of `values` [...ids, …] into a table of `rows` rows. */
const scatterRows = (values: Tensor, ids: Tensor, rows: number): Tensor =>
  apply("scatterRows", [values, ids], { rows });

const samples = (values: readonly number[]) => [{ inputs: [{ shape: values }, { shape: [2, 3], integers: 4 }] }];

defineOperator({
  name: "gather",
  shape([table, ids]) {
    if (ids!.dtype !== "int32") throw new ShapeError(`gather: ids must be int32, but ${ids!.dtype} came.`);
    return [...ids!.shape, ...table!.shape.slice(1)];
  },
  reference([table, ids], _, shape) {
    const width = sizeOf(table!.shape.slice(1));
    const out = new Float64Array(sizeOf(shape));
    ids!.data.forEach((id, k) => {
      out.set(table!.data.subarray(id * width, (id + 1) * width), k * width);
    });
    return out;
  },
  vjp: ({ inputs: [table, ids] }, v) => [scatterRows(v, ids!, table!.shape[0]!), null],
  emit: (e, inputs) => e.node("Gather", inputs, { axis: 0 }),
  samples: () => samples([4, 5]),
});

defineOperator({
  name: "scatterRows",
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
  samples: () => samples([2, 3, 5]).map((s) => ({ ...s, attrs: { rows: 4 } })),
});
