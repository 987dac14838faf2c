import { avgPool2d, globalAvgPool2d, globalMaxPool2d, maxPool2d, type Tensor } from "../../../tensor/index.ts";
import { floats } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { padded } from "./axes.ts";
import { asImage, asImageWindow, likeOperand, type Window, windowOf } from "./window.ts";

/** The smallest float32: no window of real entries picks it. */
const LOWEST = -3.4028234663852886e38;

const MAX_WINDOWS = 2 ** 16;

interface Pool {
  x: Tensor;
  image: Tensor;
  window: Window;
  /** Entries to add after, so that all windows fit: more than ONNX's own where ceil_mode adds a window. */
  after: readonly number[];
  /** Windows along rows and columns. */
  counts: readonly number[];
}

function poolOf(node: OnnxNode): Pool {
  const x = node.ofRank(0, 3, 4);
  const window = asImageWindow(windowOf(node, x.shape.slice(2)));
  if (window.dilations.some((d) => d !== 1)) node.fail(`dilations of pools must be 1, but are ${window.dilations}.`);
  const image = asImage(x);
  const { kernel, strides, before, after } = window;
  const size = image.shape.slice(2);
  const counts = size.map((n, i) => {
    const room = (n + before[i]! + after[i]! - kernel[i]!) / strides[i]!;
    if (!node.flag("ceil_mode")) return Math.floor(room) + 1;
    const last = Math.ceil(room); // a last window must begin inside the entries or before them
    return last * strides[i]! >= n + before[i]! ? last : last + 1;
  });
  if (counts.some((c) => c > MAX_WINDOWS))
    node.fail(`a pool has at most ${MAX_WINDOWS} windows along an axis, but here are ${counts}.`);
  const needed = counts.map((c, i) => (c - 1) * strides[i]! + kernel[i]! - size[i]! - before[i]!);
  return { x, image, window, after: needed, counts };
}

/** The pool's own padding where it makes the same windows, else entries of `value` around the image. */
function framed({ image, window, after, counts }: Pool, value: number): { image: Tensor; padding: [number, number] } {
  const { kernel, strides, before } = window;
  const windows = (i: number) => Math.floor((image.shape[2 + i]! + 2 * before[i]! - kernel[i]!) / strides[i]!) + 1;
  if (counts.every((count, i) => 2 * before[i]! <= kernel[i]! && windows(i) === count))
    return { image, padding: [before[0]!, before[1]!] };
  const around = [0, 1].reduce((y, i) => padded(y, 2 + i, before[i]!, Math.max(0, after[i]!), value), image);
  return { image: around, padding: [0, 0] };
}

const optionsOf = ({ window: { kernel, strides } }: Pool) => ({
  kernel: [kernel[0]!, kernel[1]!] as const,
  stride: [strides[0]!, strides[1]!] as const,
});

const maxPool: Translation = (node) => {
  const pool = poolOf(node);
  const { image, padding } = framed(pool, LOWEST);
  return likeOperand(maxPool2d(image, { ...optionsOf(pool), padding }), pool.x);
};

/** Mean of the entries that a window sees, ONNX's padding among them with count_include_pad. */
const averagePool: Translation = (node) => {
  const pool = poolOf(node);
  const { kernel, strides, before, after } = pool.window;
  const { image, padding } = framed(pool, 0);
  const counted = node.flag("count_include_pad");
  // avgPool2d divides by the size k of the kernel along each axis: times k / (entries that are seen).
  let y = avgPool2d(image, { ...optionsOf(pool), padding });
  for (const i of [0, 1]) {
    const size = pool.image.shape[2 + i]!;
    const [low, high] = counted ? [-before[i]!, size + after[i]!] : [0, size];
    const factors = Array.from({ length: pool.counts[i]! }, (_, k) => {
      const start = k * strides[i]! - before[i]!;
      return kernel[i]! / Math.max(1, Math.min(start + kernel[i]!, high) - Math.max(start, low));
    });
    if (factors.some((f) => f !== 1)) y = y.mul(floats(factors, i === 0 ? [factors.length, 1] : [factors.length]));
  }
  return likeOperand(y, pool.x);
};

export const pools: Translations = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: (node) => {
    const x = node.x(0);
    return x.rank === 4 ? globalAvgPool2d(x) : x.mean(spaceOf(node, x), true);
  },
  GlobalMaxPool: (node) => {
    const x = node.x(0);
    return x.rank === 4 ? globalMaxPool2d(x) : x.max(spaceOf(node, x), true);
  },
};

const spaceOf = (node: OnnxNode, x: Tensor): number[] => {
  if (x.rank < 3) node.fail(`an operand [B,C,…] with axes of space is needed, but its shape is [${x.shape}].`);
  return x.shape.map((_, i) => i).slice(2);
};
