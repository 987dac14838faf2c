import { conv2d, convTranspose2d, type Tensor } from "../../../tensor/index.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { padded, strided } from "./axes.ts";
import { asImage, asImageWindow, likeOperand, type Window, windowOf } from "./window.ts";

/** One number for both axes; where the kernel has one tap the number does not matter. */
function common(node: OnnxNode, name: string, values: readonly number[], matters: readonly boolean[]): number {
  const distinct = [...new Set(values.filter((_, i) => matters[i]))];
  if (distinct.length > 1) node.fail(`${name} must be equal along both axes, but are ${JSON.stringify(values)}.`);
  return distinct[0] ?? 1;
}

const symmetric = ({ before, after }: Window) => new Set([...before, ...after]).size === 1;

/** Zeros on the four sides. */
const framed = (x: Tensor, before: readonly number[], after: readonly number[]): Tensor =>
  [2, 3].reduce((y, axis) => padded(y, axis, before[axis - 2]!, after[axis - 2]!, 0), x);

function operandsOf(node: OnnxNode): { x: Tensor; w: Tensor; groups: number } {
  const x = node.ofRank(0, 3, 4);
  const w = node.ofRank(1, x.rank);
  const groups = node.int("group", 1);
  if (groups < 1) node.fail(`group is 1 or more, but is ${groups}.`);
  return { x, w, groups };
}

const conv: Translation = (node) => {
  const { x, w, groups } = operandsOf(node);
  const window = asImageWindow(windowOf(node, x.shape.slice(2), w.shape.slice(2)));
  const { kernel, strides } = window;
  const dilation = common(
    node,
    "dilations",
    window.dilations,
    kernel.map((k) => k > 1),
  );
  const bias = node.optional(2);
  // With unequal strides every position is computed and what lies between is left out.
  const unequal = x.rank === 4 && strides[0] !== strides[1];
  const stride = unequal ? 1 : strides[1]!;
  const padding = symmetric(window) ? window.before[0]! : 0;
  const image = symmetric(window) ? asImage(x) : framed(asImage(x), window.before, window.after);
  const y = conv2d(image, asImage(w), { stride, padding, dilation, groups }, bias);
  const spread = unequal ? strides.reduce((t, s, i) => every(t, 2 + i, s), y) : y;
  return likeOperand(spread, x);
};

/** Every s-th entry of an axis. */
const every = (x: Tensor, axis: number, step: number) => strided(x, axis, step, Math.ceil(x.shape[axis]! / step));

const convTranspose: Translation = (node) => {
  const { x, w, groups } = operandsOf(node);
  const space = x.shape.slice(2);
  const window = windowOf(node, space, w.shape.slice(2));
  const extra = node.ints("output_padding") ?? space.map(() => 0);
  if (extra.length !== space.length || extra.some((n) => !(n >= 0 && n < 2 ** 31)))
    node.fail(`output_padding has a number of 0 or more for each axis, but is ${JSON.stringify(extra)}.`);
  const { before, after } = cutOf(node, space, window, extra);
  const { strides, dilations, kernel } = asImageWindow(window);
  const image = asImage(x);
  const stride = common(
    node,
    "strides",
    strides,
    image.shape.slice(2).map((n) => n > 1),
  );
  const dilation = common(
    node,
    "dilations",
    dilations,
    kernel.map((k) => k > 1),
  );
  // The whole result without padding, and then ONNX's pads cut off: −before and output_padding − after entries.
  const whole = convTranspose2d(image, asImage(w), { stride, dilation, groups });
  const rows = x.rank === 3 ? { before: [0, ...before], after: [0, ...after] } : { before, after };
  const y = framed(whole, rows.before, rows.after);
  const bias = node.optional(2);
  return likeOperand(bias ? y.add(bias.reshape([y.shape[1]!, 1, 1])) : y, x);
};

/** Entries to add before and after the whole result, negative to cut. */
function cutOf(node: OnnxNode, space: readonly number[], window: Window, extra: readonly number[]) {
  const { kernel, strides, dilations } = window;
  const whole = space.map((n, i) => strides[i]! * (n - 1) + dilations[i]! * (kernel[i]! - 1) + 1);
  const auto = node.word<string>("auto_pad", "NOTSET");
  const same = auto === "SAME_UPPER" || auto === "SAME_LOWER";
  const wanted = node.ints("output_shape") ?? (same ? space.map((n, i) => n * strides[i]!) : undefined);
  if (!wanted) return { before: window.before.map((p) => -p), after: window.after.map((p, i) => extra[i]! - p) };
  if (wanted.length !== space.length)
    node.fail(`output_shape has a number for each axis, but is ${JSON.stringify(wanted)}.`);
  // total = whole + output_padding − output_shape, the smaller half before (UPPER) or after.
  const total = whole.map((n, i) => Math.max(0, n + extra[i]! - wanted[i]!));
  const first = total.map((t) => (auto === "SAME_UPPER" ? Math.floor(t / 2) : t - Math.floor(t / 2)));
  return { before: first.map((t) => -t), after: whole.map((n, i) => wanted[i]! - n + first[i]!) };
}

export const convolutions: Translations = { Conv: conv, ConvTranspose: convTranspose };
