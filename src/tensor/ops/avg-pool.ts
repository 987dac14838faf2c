import { defineOperator } from "../operator.ts";
import { sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { insertZeros } from "./conv-map.ts";
import {
  eachWindow,
  type PoolGeometry,
  type PoolOptions,
  poolAttrs,
  poolGeometryOf,
  poolNodeAttrs,
  poolSamples,
  poolShape,
} from "./pool-window.ts";

/** Mean of each window of x [B,C,H,W], padding counted as zeros → [B,C,H',W'], H' = ⌊(H + 2p − k)/s⌋ + 1. */
export const avgPool2d = (x: Tensor, options: PoolOptions): Tensor =>
  apply("avgPool2d", [x], { ...poolGeometryOf(options) });

/** Mean over the whole image: [B,C,H,W] → [B,C,1,1]. */
export const globalAvgPool2d = (x: Tensor): Tensor => x.mean([2, 3], true);

const area = ({ kernel }: PoolGeometry) => kernel[0] * kernel[1];

defineOperator({
  name: "avgPool2d",
  shape: ([x], attrs) => poolShape("avgPool2d", x!.shape, poolAttrs(attrs)),
  reference([x], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachWindow(x!.shape, shape, poolAttrs(attrs), (o, seen) => {
      for (const i of seen) out[o]! += x!.data[i]! / area(poolAttrs(attrs));
    });
    return out;
  },
  vjp: ({ inputs: [x], attrs }, v) => [
    apply("avgPool2dInput", [v], { ...poolGeometryOf(poolAttrs(attrs)), size: x!.shape.slice(2) }),
  ],
  emit: (e, inputs, { attrs }) =>
    e.node("AveragePool", inputs, { ...poolNodeAttrs(poolAttrs(attrs)), count_include_pad: 1 }),
  samples: () => poolSamples((x, geometry) => ({ inputs: [{ shape: x }], attrs: { ...geometry } })),
});

/** The adjoint of `avgPool2d`: every value of y [B,C,H',W'] spread over its window of an image of the given size. */
defineOperator({
  name: "avgPool2dInput",
  shape: ([y], attrs) => [...y!.shape.slice(0, 2), ...poolAttrs(attrs).size],
  reference([y], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachWindow(shape, y!.shape, poolAttrs(attrs), (o, seen) => {
      for (const i of seen) out[i]! += y!.data[o]! / area(poolAttrs(attrs));
    });
    return out;
  },
  vjp: ({ attrs }, v) => [apply("avgPool2d", [v], { ...poolGeometryOf(poolAttrs(attrs)) })],
  // x[u] = 1/k Σ_j y'[u + p − j], y' = y with s − 1 zeros between entries: a mean over windows again, of stride 1.
  emit(e, [y], { inputs, attrs }) {
    const { kernel, stride, padding, size } = poolAttrs(attrs);
    const before = [kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1]] as const;
    const after = ([0, 1] as const).map(
      (axis) => size[axis] - inputs[0]!.shape[2 + axis]! * stride[axis] + padding[axis],
    );
    const spread = insertZeros(e, y!, inputs[0]!.shape, stride);
    const image = e.node("Pad", [spread, e.ints([0, 0, ...before, 0, 0, ...after])]);
    return e.node("AveragePool", [image], { kernel_shape: kernel });
  },
  samples: () =>
    poolSamples((x, geometry) => ({
      inputs: [{ shape: poolShape("avgPool2d", x, geometry) }],
      attrs: { ...geometry, size: x.slice(2) },
    })),
});
