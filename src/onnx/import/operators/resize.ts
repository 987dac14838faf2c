import { gather, type Tensor, upsample2x } from "../../../tensor/index.ts";
import { floats, ints } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { axesOf } from "./axes.ts";
import { type AxisResize, nearestPositions, resizeMatrix } from "./resize-matrix.ts";

const MAX_WEIGHTS = 2 ** 24;

/** Size and scale of every axis of the result: from `sizes` (scale = to/from) or from `scales` (to = ⌊from·scale⌋). */
function targets(node: OnnxNode, x: Tensor): { to: number; scale: number }[] {
  const old = node.opset < 11; // operands x, scales
  const scales = node.known(old ? 1 : 2);
  const sizes = old ? undefined : node.known(3);
  const axes = axesOf(node, node.ints("axes") ?? [...x.shape.keys()], x.rank);
  const given = sizes && sizes.length > 0 ? sizes : scales;
  if (!given || given.length !== axes.length)
    node.fail(`scales or sizes have a number for each of ${axes.length} axes, but ${given?.length ?? 0} came.`);
  const all = x.shape.map((from) => ({ to: from, scale: 1 }));
  axes.forEach((axis, k) => {
    const from = x.shape[axis]!;
    const value = given![k]!;
    all[axis] =
      given === sizes
        ? { to: value, scale: value / from }
        : { to: Math.floor(Math.fround(from * value)), scale: value };
    if (!(all[axis].to >= 1 && all[axis].to * from <= MAX_WEIGHTS))
      node.fail(
        `an axis of ${from} entries is resized to at least 1 and at most ${MAX_WEIGHTS}/${from} entries, but ${all[axis].to} are wanted.`,
      );
  });
  return all;
}

function settingsOf(node: OnnxNode): Omit<AxisResize, "from" | "to" | "scale"> {
  const old = node.opset < 11;
  node.word("keep_aspect_ratio_policy", "stretch", ["stretch"]);
  const modes = ["nearest", "linear", "cubic"] as const;
  const coordinates = [
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "half_pixel_symmetric",
  ] as const;
  const roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] as const;
  return {
    mode: node.word<(typeof modes)[number]>("mode", "nearest", modes),
    coordinates: old
      ? "asymmetric"
      : node.word<(typeof coordinates)[number]>("coordinate_transformation_mode", "half_pixel", coordinates),
    nearest: old ? "floor" : node.word<(typeof roundings)[number]>("nearest_mode", "round_prefer_floor", roundings),
    antialias: node.flag("antialias"),
    excludeOutside: node.flag("exclude_outside"),
    cubicA: node.float("cubic_coeff_a", -0.75),
  };
}

/** Every axis is resampled by itself: nearest picks entries, the others are a product with a constant matrix. */
const resize: Translation = (node) => {
  const x = node.x(0);
  const settings = settingsOf(node);
  const axes = targets(node, x).map((target, axis): AxisResize => ({ ...settings, ...target, from: x.shape[axis]! }));
  if (axes.every(({ from, to }) => from === to)) return x; // whatever the scale, as ONNX Runtime does
  if (settings.mode === "nearest") return nearestResize(node, x, axes);
  return axes.reduce((y, axis, k) => (changes(axis) ? interpolated(y, k, axis) : y), x);
};

const changes = ({ from, to, scale }: AxisResize) => from !== to || scale !== 1;

function nearestResize(node: OnnxNode, x: Tensor, axes: readonly AxisResize[]): Tensor {
  if (node.opset < 11 && axes.some(({ scale }) => scale < 1))
    node.fail("shrinking by the nearest entry is translated from opset 11 on.");
  const positions = axes.map(nearestPositions);
  const doubles = (k: number) => axes[k]!.to === 2 * axes[k]!.from && positions[k]!.every((p, i) => p === i >> 1);
  if (x.rank === 4 && !changes(axes[0]!) && !changes(axes[1]!) && doubles(2) && doubles(3)) return upsample2x(x);
  return axes.reduce((y, axis, k) => (changes(axis) ? gather(y, ints(positions[k]!), k) : y), x);
}

/** R·x along one axis: a product from the right on the last axis, from the left on the one before it. */
function interpolated(x: Tensor, axis: number, settings: AxisResize): Tensor {
  const matrix = floats(resizeMatrix(settings), [settings.to, settings.from]);
  if (axis === x.rank - 1 && x.rank >= 2) return x.matmul(matrix, { transB: true });
  if (axis === x.rank - 2) return matrix.matmul(x);
  const last = [...x.shape.keys()].filter((i) => i !== axis).concat(axis);
  const y = x.transpose(last).matmul(matrix, { transB: true });
  return y.transpose(last.map((_, i) => last.indexOf(i)));
}

export const resizes: Translations = { Resize: resize, Upsample: resize };
