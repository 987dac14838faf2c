import { ShapeError } from "../../core/errors.ts";
import { type Attrs, defineOperator, type Emitter } from "../operator.ts";
import { sameShape, showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import {
  eachWindow,
  type PoolOptions,
  poolAttrs,
  poolGeometryOf,
  poolNodeAttrs,
  poolSamples,
  poolShape,
} from "./pool-window.ts";
import { emitScatterAdd } from "./take-along-axis.ts";

/*
 * Let π(o) be the position of the largest value of x in window o, the first in reading order where several are equal:
 *   maxPool2d          y[o] = x[π(o)]
 *   maxPool2dPick      y[o] = u[π(o)]            u like x
 *   maxPool2dScatter   u[i] = Σ_{o: π(o)=i} v[o]  v like y, the adjoint of picking
 * π is constant almost everywhere, so none but the first has a derivative by x.
 */

/**
 * Largest value of each window of x [B,C,H,W] → [B,C,H',W'], H' = ⌊(H + 2p − k)/s⌋ + 1. The gradient goes to its position,
 * the first of equal ones.
 */
export const maxPool2d = (x: Tensor, options: PoolOptions): Tensor =>
  apply("maxPool2d", [x], { ...poolGeometryOf(options) });

/** Largest value of the whole image: [B,C,H,W] → [B,C,1,1]. */
export const globalMaxPool2d = (x: Tensor): Tensor => maxPool2d(x, { kernel: [x.shape[2]!, x.shape[3]!] });

defineOperator({
  name: "maxPool2d",
  shape: ([x], attrs) => poolShape("maxPool2d", x!.shape, poolAttrs(attrs)),
  reference([x], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachWindow(x!.shape, shape, poolAttrs(attrs), (o, seen) => {
      out[o] = x!.data[firstLargest(x!.data, seen)]!;
    });
    return out;
  },
  vjp: ({ inputs: [x], attrs }, v) => [apply("maxPool2dScatter", [v, x!], attrs)],
  emit: (e, inputs, { attrs }) => e.node("MaxPool", inputs, poolNodeAttrs(poolAttrs(attrs))),
  samples: () => poolSamples((shape, geometry) => ({ inputs: [{ shape, ...spread }], attrs: { ...geometry } })),
});

defineOperator({
  name: "maxPool2dPick",
  shape([u, x], attrs) {
    if (!sameShape(u!.shape, x!.shape)) {
      throw new ShapeError(
        `maxPool2dPick: u must have the shape of x ${showShape(x!.shape)}, but ${showShape(u!.shape)} came.`,
      );
    }
    return poolShape("maxPool2dPick", x!.shape, poolAttrs(attrs));
  },
  reference([u, x], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachWindow(x!.shape, shape, poolAttrs(attrs), (o, seen) => {
      out[o] = u!.data[firstLargest(x!.data, seen)]!;
    });
    return out;
  },
  vjp: ({ inputs: [, x], attrs }, v) => [apply("maxPool2dScatter", [v, x!], attrs), null],
  emit(e, [u, x], { inputs, attrs }) {
    const flat = e.node("Reshape", [u!, e.ints([inputs[0]!.size])]);
    return e.node("Gather", [flat, positions(e, x!, attrs)]);
  },
  samples: () =>
    poolSamples((shape, geometry) => ({ inputs: [{ shape }, { shape, ...spread }], attrs: { ...geometry } })),
});

defineOperator({
  name: "maxPool2dScatter",
  shape([v, x], attrs) {
    const windows = poolShape("maxPool2dScatter", x!.shape, poolAttrs(attrs));
    if (!sameShape(v!.shape, windows)) {
      throw new ShapeError(
        `maxPool2dScatter: v must have the shape ${showShape(windows)} of the windows, but ${showShape(v!.shape)} came.`,
      );
    }
    return x!.shape;
  },
  reference([v, x], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachWindow(x!.shape, v!.shape, poolAttrs(attrs), (o, seen) => {
      out[firstLargest(x!.data, seen)]! += v!.data[o]!;
    });
    return out;
  },
  vjp: ({ inputs: [, x], attrs }, u) => [apply("maxPool2dPick", [u, x!], attrs), null],
  emit(e, [v, x], { inputs, attrs, output }) {
    const count = e.ints([inputs[0]!.size]);
    const at = e.node("Reshape", [positions(e, x!, attrs), count]);
    const sums = emitScatterAdd(e, e.node("Reshape", [v!, count]), at, 0, [output.size]);
    return e.node("Reshape", [sums, e.ints(output.shape)]);
  },
  samples: () =>
    poolSamples((shape, geometry) => ({
      inputs: [{ shape: poolShape("maxPool2d", shape, geometry) }, { shape, ...spread }],
      attrs: { ...geometry },
    })),
});

/** Values of x in contract tests: far enough apart that no difference quotient changes which is largest. */
const spread = { low: -2, spaced: 0.05 };

const firstLargest = (values: Float64Array, among: readonly number[]): number =>
  among.reduce((best, i) => (values[i]! > values[best]! ? i : best), among[0]!);

/** π as flat int64 positions in x. */
const positions = (e: Emitter, x: string, attrs: Attrs): string =>
  e.nodes("MaxPool", [x], poolNodeAttrs(poolAttrs(attrs)), 2)[1]!;
