import { ShapeError } from "../../core/errors.ts";
import { defineOperator } from "../operator.ts";
import { showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { attrsOf, type ConvOptions, convSamples, convShape, eachTerm, geometryOf } from "./conv-map.ts";
import { channelsLastRows, inputsByOutputs, smallWithTrainedWeight, sumOfProducts } from "./conv-products.ts";

/**
 * Cross-correlation of x [B,C,H,W] with w [O,C/groups,kh,kw], plus bias [O] → [B,O,H',W'],
 * H' = ⌊(H + 2·padding − dilation·(kh − 1) − 1)/stride⌋ + 1.
 */
export const conv2d = (x: Tensor, w: Tensor, options: ConvOptions = {}, bias?: Tensor): Tensor =>
  apply("conv2d", bias ? [x, w, bias] : [x, w], geometryOf(options));

defineOperator({
  name: "conv2d",
  shape([x, w, bias], attrs) {
    const shape = convShape(x!.shape, w!.shape, attrsOf(attrs));
    if (bias && bias.size !== shape[1]) {
      throw new ShapeError(
        `conv2d: w ${showShape(w!.shape)} needs a bias of ${shape[1]} values, but ${showShape(bias.shape)} came.`,
      );
    }
    return shape;
  },
  reference([x, w, bias], attrs, shape) {
    const [, O, H, W] = shape as [number, number, number, number];
    const out = Float64Array.from({ length: sizeOf(shape) }, (_, o) => bias?.data[Math.floor(o / (H * W)) % O] ?? 0);
    eachTerm(x!.shape, w!.shape, shape, attrsOf(attrs), (i, j, o) => {
      out[o]! += x!.data[i]! * w!.data[j]!;
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [x, w] = inputs as [Tensor, Tensor];
    const geometry = geometryOf(attrsOf(attrs));
    return [
      apply("conv2dInput", [v, w], { ...geometry, size: x.shape.slice(2) }),
      apply("conv2dWeight", [x, v], { ...geometry, size: w.shape.slice(2) }),
      ...(inputs.length === 3 ? [v.sum([0, 2, 3])] : []),
    ];
  },
  emit(e, operands, { inputs, attrs, output }) {
    const { stride, padding, dilation, groups } = attrsOf(attrs);
    const kernel = inputs[1]!.shape.slice(2);
    if (groups === 1 && smallWithTrainedWeight(e, operands[1]!, kernel, output.shape)) {
      const [x, w, bias] = operands as [string, string, string?];
      const rows = channelsLastRows(e, x, inputs[0]!.shape, kernel, attrsOf(attrs), output.shape.slice(2));
      const byTap = inputsByOutputs(e, w, inputs[1]!.shape);
      return sumOfProducts(e, rows, byTap, inputs[1]!.shape[1]! * kernel[1]!, output.shape, bias);
    }
    return e.node("Conv", operands, {
      kernel_shape: kernel,
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      dilations: [dilation, dilation],
      group: groups,
    });
  },
  samples: () => {
    const plain = convSamples((x, w) => [x, w], "none");
    return [
      ...plain,
      ...[0, 1, 6].map((k) => {
        const { inputs, attrs } = plain[k]!;
        return { inputs: [...inputs, { shape: [inputs[1]!.shape[0]!] }], attrs: attrs! };
      }),
    ];
  },
});
