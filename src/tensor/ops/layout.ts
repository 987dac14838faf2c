import { ShapeError } from "../../core/errors.ts";
import { commonDtype, dtypeOfFirst } from "../dtypes.ts";
import { type Attrs, defineOperator, type ReferenceArray } from "../operator.ts";
import { broadcastShapes, type Shape, sameShape, showShape, sizeOf, stridesOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { broadcastStrides, sumTo } from "./binary.ts";
import { emitCast } from "./cast.ts";

/** Reads `shape` elements from `data` with the given strides and start offset. */
export function gatherStrided(data: Float64Array, shape: Shape, strides: readonly number[], offset = 0): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const position = new Array<number>(shape.length).fill(0);
  let from = offset;
  for (let o = 0; o < out.length; o++) {
    out[o] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis]!++;
      from += strides[axis]!;
      if (position[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
  return out;
}

defineOperator({
  name: "reshape",
  dtype: dtypeOfFirst,
  shape([x], attrs) {
    const shape = attrs.shape as Shape;
    if (sizeOf(shape) !== x!.size || shape.some((d) => !Number.isInteger(d) || d < 0)) {
      throw new ShapeError(`reshape: ${showShape(x!.shape)} (${x!.size} elements) cannot become ${showShape(shape)}.`);
    }
    return shape;
  },
  reference: ([x]) => x!.data,
  vjp: ({ inputs: [x] }, v) => [v.reshape(x!.shape)],
  emit: (e, [x], { output }) => e.node("Reshape", [x!, e.ints(output.shape)]),
  samples: () => [
    { inputs: [{ shape: [2, 6] }], attrs: { shape: [3, 4] } },
    { inputs: [{ shape: [2, 6], integers: 9 }], attrs: { shape: [3, 4] } },
  ],
});

defineOperator({
  name: "transpose",
  dtype: dtypeOfFirst,
  shape([x], attrs) {
    const perm = attrs.perm as number[];
    if (
      perm.length !== x!.rank ||
      !sameShape(
        [...perm].sort((p, q) => p - q),
        perm.map((_, i) => i),
      )
    ) {
      throw new ShapeError(
        `transpose: perm ${JSON.stringify(perm)} must permute the ${x!.rank} axes of ${showShape(x!.shape)}.`,
      );
    }
    return perm.map((axis) => x!.shape[axis]!);
  },
  reference([x], attrs, shape) {
    const strides = stridesOf(x!.shape);
    return gatherStrided(
      x!.data,
      shape,
      (attrs.perm as number[]).map((axis) => strides[axis]!),
    );
  },
  vjp({ attrs }, v) {
    const perm = attrs.perm as number[];
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return [v.transpose(inverse)];
  },
  emit: (e, inputs, { attrs }) => e.node("Transpose", inputs, { perm: attrs.perm as number[] }),
  samples: () => [
    { inputs: [{ shape: [2, 3, 4] }], attrs: { perm: [2, 0, 1] } },
    { inputs: [{ shape: [3, 2] }], attrs: { perm: [1, 0] } },
    { inputs: [{ shape: [3, 2], integers: 9 }], attrs: { perm: [1, 0] } },
  ],
});

defineOperator({
  name: "expand",
  dtype: dtypeOfFirst,
  shape([x], attrs) {
    const shape = attrs.shape as Shape;
    if (!sameShape(broadcastShapes("expand", x!.shape, shape), shape)) {
      throw new ShapeError(`expand: ${showShape(x!.shape)} cannot be repeated to ${showShape(shape)}.`);
    }
    return shape;
  },
  reference: ([x], _, shape) => gatherStrided(x!.data, shape, broadcastStrides(x!.shape, shape)),
  vjp: ({ inputs: [x] }, v) => [sumTo(v, x!.shape)],
  emit: (e, [x], { output }) => e.node("Expand", [x!, e.ints(output.shape)]),
  samples: () => [
    { inputs: [{ shape: [3, 1] }], attrs: { shape: [2, 3, 4] } },
    { inputs: [{ shape: [3, 1], integers: 9 }], attrs: { shape: [2, 3, 4] } },
  ],
});

interface SliceAttrs {
  axis: number;
  start: number;
  end: number;
}
const sliceAttrs = (attrs: Attrs) => attrs as unknown as SliceAttrs;

/** Elements start ≤ index < end along one axis. Its gradient is `pad` with zeros. */
defineOperator({
  name: "slice",
  dtype: dtypeOfFirst,
  shape([x], attrs) {
    const { axis, start, end } = sliceAttrs(attrs);
    const size = x!.shape[axis]!;
    if (!(start >= 0 && start < end && end <= size)) {
      throw new ShapeError(
        `slice: 0 ≤ start < end ≤ ${size} is needed on axis ${axis} of ${showShape(x!.shape)}, but ${start}:${end} came.`,
      );
    }
    return x!.shape.map((d, i) => (i === axis ? end - start : d));
  },
  reference([x], attrs, shape) {
    const { axis, start } = sliceAttrs(attrs);
    const strides = stridesOf(x!.shape);
    return gatherStrided(x!.data, shape, strides, start * strides[axis]!);
  },
  vjp({ inputs: [x], attrs }, v) {
    const { axis, start, end } = sliceAttrs(attrs);
    return [apply("pad", [v], { axis, before: start, after: x!.shape[axis]! - end })];
  },
  emit(e, [x], { attrs }) {
    const { axis, start, end } = sliceAttrs(attrs);
    return e.node("Slice", [x!, e.ints([start]), e.ints([end]), e.ints([axis])]);
  },
  samples: () => [
    { inputs: [{ shape: [2, 5, 3] }], attrs: { axis: 1, start: 1, end: 4 } },
    { inputs: [{ shape: [2, 5, 3], integers: 9 }], attrs: { axis: 1, start: 1, end: 4 } },
  ],
});

/** Adds zeros before and after along one axis. */
defineOperator({
  name: "pad",
  dtype: dtypeOfFirst,
  shape: ([x], attrs) =>
    x!.shape.map((d, i) => (i === attrs.axis ? d + (attrs.before as number) + (attrs.after as number) : d)),
  reference([x], attrs, shape) {
    const axis = attrs.axis as number;
    const inner = sizeOf(shape.slice(axis + 1));
    const outer = sizeOf(shape.slice(0, axis));
    const from = x!.shape[axis]! * inner;
    const to = shape[axis]! * inner;
    const out = new Float64Array(sizeOf(shape));
    for (let o = 0; o < outer; o++)
      out.set(x!.data.subarray(o * from, (o + 1) * from), o * to + (attrs.before as number) * inner);
    return out;
  },
  vjp({ inputs: [x], attrs }, v) {
    const axis = attrs.axis as number;
    const before = attrs.before as number;
    return [v.slice(axis, before, before + x!.shape[axis]!)];
  },
  emit(e, [x], { inputs, attrs }) {
    const rank = inputs[0]!.rank;
    const pads = new Array<number>(2 * rank).fill(0);
    pads[attrs.axis as number] = attrs.before as number;
    pads[rank + (attrs.axis as number)] = attrs.after as number;
    // In float16 ONNX Runtime would pad in float32 and drop the rounding of x.
    if (inputs[0]!.dtype === "float16")
      return emitCast(e, e.node("Pad", [emitCast(e, x!, "float32"), e.ints(pads)]), "float16");
    return e.node("Pad", [x!, e.ints(pads)]);
  },
  samples: () => [
    { inputs: [{ shape: [2, 3] }], attrs: { axis: 1, before: 1, after: 2 } },
    { inputs: [{ shape: [2, 3], integers: 9 }], attrs: { axis: 1, before: 1, after: 2 } },
  ],
});

/** Joins tensors along one axis. */
export const concat = (parts: readonly Tensor[], axis: number): Tensor =>
  parts.length === 1 ? parts[0]! : apply("concat", parts, { axis: axis < 0 ? axis + parts[0]!.rank : axis });

defineOperator({
  name: "concat",
  dtype: (inputs) => commonDtype("concat", inputs),
  shape(inputs, attrs) {
    const axis = attrs.axis as number;
    const first = inputs[0]!.shape;
    for (const { shape } of inputs) {
      if (shape.length !== first.length || shape.some((d, i) => i !== axis && d !== first[i])) {
        throw new ShapeError(
          `concat: shapes must agree off axis ${axis}, but ${inputs.map((t) => showShape(t.shape)).join(", ")} came.`,
        );
      }
    }
    return first.map((d, i) => (i === axis ? inputs.reduce((n, t) => n + t.shape[axis]!, 0) : d));
  },
  reference(inputs: readonly ReferenceArray[], attrs, shape) {
    const axis = attrs.axis as number;
    const inner = sizeOf(shape.slice(axis + 1));
    const outer = sizeOf(shape.slice(0, axis));
    const out = new Float64Array(sizeOf(shape));
    let at = 0;
    for (let o = 0; o < outer; o++) {
      for (const part of inputs) {
        const run = part.shape[axis]! * inner;
        out.set(part.data.subarray(o * run, (o + 1) * run), at);
        at += run;
      }
    }
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const axis = attrs.axis as number;
    let at = 0;
    return inputs.map((x) => {
      const part = v.slice(axis, at, at + x.shape[axis]!);
      at += x.shape[axis]!;
      return part;
    });
  },
  emit: (e, inputs, { attrs }) => e.node("Concat", inputs, { axis: attrs.axis as number }),
  samples: () => [
    { inputs: [{ shape: [2, 1, 3] }, { shape: [2, 4, 3] }, { shape: [2, 2, 3] }], attrs: { axis: 1 } },
    {
      inputs: [
        { shape: [2, 3], integers: 9 },
        { shape: [1, 3], integers: 9 },
      ],
      attrs: { axis: 0 },
    },
  ],
});
