import { avgPool2d, groupNorm, instanceNorm, rmsNorm, standardize, type Tensor } from "../../../tensor/index.ts";
import { fold } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { axisOf, padded } from "./axes.ts";

/** Numbers per channel against x [B,C,…]. */
const perChannel = (node: OnnxNode, c: Tensor, x: Tensor): Tensor => {
  if (x.rank < 2 || c.size !== x.shape[1])
    node.fail(`one number per channel is needed, but ${c.size} came for an operand of shape [${x.shape}].`);
  return c.reshape([c.size, ...x.shape.slice(2).map(() => 1)]);
};

/** (x − mean)/√(var + ε)·gain + bias with stored statistics: one product and one sum. */
const batchNorm: Translation = (node) => {
  if (node.flag("training_mode"))
    node.fail("training_mode must be 0: a reward has fixed statistics. Export the model for inference.");
  const x = node.x(0);
  const [gain, bias, mean, variance] = [1, 2, 3, 4].map((k) => perChannel(node, node.x(k), x));
  const scale = fold(gain!.div(variance!.add(node.float("epsilon", 1e-5)).sqrt()));
  return x.mul(scale).add(fold(bias!.sub(mean!.mul(scale))));
};

/** f over all axes from `axis` on, as one. */
const overLast = (node: OnnxNode, f: (rows: Tensor) => Tensor): Tensor => {
  const x = node.x(0);
  const axis = axisOf(node, node.int("axis", -1), x.rank);
  return axis === x.rank - 1 ? f(x) : f(x.reshape([...x.shape.slice(0, axis), -1])).reshape(x.shape);
};

const layerNorm: Translation = (node) => {
  const y = overLast(node, (rows) => standardize(rows, node.float("epsilon", 1e-5))).mul(node.x(1));
  const bias = node.optional(2);
  return bias ? y.add(bias) : y;
};

const rmsNormalization: Translation = (node) =>
  overLast(node, (rows) => rmsNorm(rows, node.float("epsilon", 1e-5))).mul(node.x(1));

/** Gain and bias per group in opset 18, which ONNX took back, and per channel since 21. */
const groupNormalization: Translation = (node) => {
  const [x, gain, bias] = [node.x(0), node.x(1), node.x(2)];
  const groups = node.int("num_groups", 0);
  const channels = x.shape[1] ?? 0;
  if (!(groups >= 1) || channels % groups !== 0)
    node.fail(`num_groups must divide the ${channels} channels, but is ${groups}.`);
  const spread = (t: Tensor) =>
    node.opset >= 21
      ? t
      : t
          .reshape([groups, 1])
          .expand([groups, channels / groups])
          .reshape([channels]);
  return groupNorm(x, spread(gain), spread(bias), groups, node.float("epsilon", 1e-5));
};

/** x/(bias + α·mean(x²))^β, the mean over `size` neighbouring channels, those beyond the ends counted as zeros. */
const localResponse: Translation = (node) => {
  const x = node.ofRank(0, 3, 4);
  const [B, C] = x.shape as [number, number];
  const size = node.int("size", 0);
  if (!(size >= 1 && size <= 2 * C + 1))
    node.fail(`size is a number of channels from 1 to ${2 * C + 1}, but is ${size}.`);
  const squares = x.square().reshape([B, 1, C, -1]);
  const before = Math.floor((size - 1) / 2);
  const means = avgPool2d(padded(squares, 2, before, size - 1 - before, 0), { kernel: [size, 1], stride: 1 });
  const base = means.reshape(x.shape).mul(node.float("alpha", 1e-4)).add(node.float("bias", 1));
  return x.div(base.pow(node.float("beta", 0.75)));
};

/** Softmax over one axis; before opset 13, over all axes from one on as a single axis. */
const softmax =
  (f: (x: Tensor, axis: number) => Tensor): Translation =>
  (node) => {
    const x = node.x(0);
    if (node.opset >= 13) return f(x, axisOf(node, node.int("axis", -1), x.rank));
    const axis = axisOf(node, node.int("axis", 1), x.rank);
    return axis === x.rank - 1 ? f(x, axis) : f(x.reshape([...x.shape.slice(0, axis), -1]), axis).reshape(x.shape);
  };

/** Operators that relate numbers to the others of their group. */
export const normalizations: Translations = {
  BatchNormalization: batchNorm,
  LayerNormalization: layerNorm,
  LRN: localResponse,
  RMSNormalization: rmsNormalization,
  GroupNormalization: groupNormalization,
  InstanceNormalization: (node) => instanceNorm(node.x(0), node.x(1), node.x(2), node.float("epsilon", 1e-5)),
  Softmax: softmax((x, axis) => x.softmax(axis)),
  LogSoftmax: softmax((x, axis) => x.logSoftmax(axis)),
};
