import { ShapeError } from "../../core/errors.ts";
import { type Attrs, defineOperator, type Emitter, type OperatorSample } from "../operator.ts";
import { broadcastShapes, type Shape, showShape, sizeOf } from "../shapes.ts";
import type { Tensor } from "../tensor.ts";
import { broadcastStrides, sumTo } from "./binary.ts";

/** Rows and columns of the last two axes after the transpose flag. */
function matrixOf(shape: Shape, transposed: boolean): [rows: number, columns: number] {
  const [r, c] = shape.slice(-2) as [number, number];
  return transposed ? [c, r] : [r, c];
}
const flagsOf = (attrs: Attrs) => ({ transA: attrs.transA as boolean, transB: attrs.transB as boolean });

/** Offsets of each broadcast batch entry, in matrices. */
function batchOffsets(own: Shape, batch: Shape): number[] {
  const strides = broadcastStrides(own, batch);
  return Array.from({ length: sizeOf(batch) }, (_, flat) => {
    let rest = flat;
    let offset = 0;
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      offset += (rest % batch[axis]!) * strides[axis]!;
      rest = Math.floor(rest / batch[axis]!);
    }
    return offset;
  });
}

const sample = (a: Shape, b: Shape, transA: boolean, transB: boolean): OperatorSample => ({
  inputs: [{ shape: a }, { shape: b }],
  attrs: { transA, transB },
});

/** C = op(A)·op(B) over the last two axes, op = identity or transpose; leading axes broadcast. */
defineOperator({
  name: "matmul",
  shape([a, b], attrs) {
    const { transA, transB } = flagsOf(attrs);
    if (a!.rank < 2 || b!.rank < 2)
      throw new ShapeError(
        `matmul: both operands need at least 2 axes, but ${showShape(a!.shape)} and ${showShape(b!.shape)} came.`,
      );
    const [m, k] = matrixOf(a!.shape, transA);
    const [k2, n] = matrixOf(b!.shape, transB);
    if (k !== k2) {
      throw new ShapeError(
        `matmul: inner sizes must agree, but ${showShape(a!.shape)}${transA ? "ᵀ" : ""} · ${showShape(b!.shape)}${transB ? "ᵀ" : ""} has ${k} against ${k2}.`,
      );
    }
    return [...broadcastShapes("matmul", a!.shape.slice(0, -2), b!.shape.slice(0, -2)), m, n];
  },
  reference([a, b], attrs, shape) {
    const { transA, transB } = flagsOf(attrs);
    const [m, k] = matrixOf(a!.shape, transA);
    const n = shape[shape.length - 1]!;
    const batch = shape.slice(0, -2);
    const offsetsA = batchOffsets(a!.shape.slice(0, -2), batch);
    const offsetsB = batchOffsets(b!.shape.slice(0, -2), batch);
    const out = new Float64Array(sizeOf(shape));
    offsetsA.forEach((batchA, q) => {
      const baseA = batchA * m * k;
      const baseB = offsetsB[q]! * k * n;
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) {
            sum +=
              a!.data[baseA + (transA ? l * m + i : i * k + l)]! * b!.data[baseB + (transB ? j * k + l : l * n + j)]!;
          }
          out[(q * m + i) * n + j] = sum;
        }
      }
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [a, b] = inputs as [Tensor, Tensor];
    const { transA, transB } = flagsOf(attrs);
    const da = transA
      ? b.matmul(v, { transA: transB, transB: true }) // dA = op(B)·Vᵀ
      : v.matmul(b, { transB: !transB }); //             dA = V·op(B)ᵀ
    const db = transB
      ? v.matmul(a, { transA: true, transB: transA }) // dB = Vᵀ·op(A)
      : a.matmul(v, { transA: !transA }); //             dB = op(A)ᵀ·V
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  },
  emit(e, inputs, { inputs: [a, b], attrs }) {
    return emitProduct(e, inputs, [a!.rank, b!.rank], flagsOf(attrs));
  },
  samples: () => [
    sample([3, 4], [4, 2], false, false),
    sample([4, 3], [2, 4], true, true),
    sample([3, 4], [2, 4], false, true),
    sample([4, 3], [4, 2], true, false),
    sample([2, 3, 4], [2, 5, 4], false, true),
    sample([2, 4, 3], [2, 4, 5], true, false),
    sample([2, 4, 3], [2, 5, 4], true, true),
    sample([2, 2, 3, 4], [4, 2], false, false),
    sample([2, 1, 3, 4], [3, 2, 4], false, true),
    sample([4, 3], [2, 4, 2], true, false),
    sample([2, 3, 4], [2, 4], false, true),
  ],
});

/** op(A)·op(B) of values with these ranks. */
export function emitProduct(
  e: Emitter,
  values: readonly string[],
  ranks: readonly [number, number],
  { transA, transB }: { transA: boolean; transB: boolean },
): string {
  if (!transA && !transB) return e.node("MatMul", values);
  const flags = { transA: Number(transA), transB: Number(transB) };
  if (ranks[0] === 2 && ranks[1] === 2) return e.node("Gemm", values, flags);
  if (e.has("FusedMatMul")) return e.node("FusedMatMul", values, flags, { domain: "com.microsoft" });
  const operands = [transA, transB].map((flag, k) => (flag ? transposed(e, values[k]!, ranks[k]!) : values[k]!));
  return e.node("MatMul", operands);
}

/** The value with its last two axes exchanged. */
function transposed(e: Emitter, value: string, rank: number): string {
  const perm = Array.from({ length: rank }, (_, axis) => axis);
  return e.node("Transpose", [value], { perm: [...perm.slice(0, -2), rank - 1, rank - 2] });
}
