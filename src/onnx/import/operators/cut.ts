import { constant, gather, type Tensor } from "../../../tensor/index.ts";
import { ints, isKnown } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { axesOf, padded, strided } from "./axes.ts";

/** Starts, ends, axes and steps are operands since opset 10; positions beyond an end stop there. */
const slice: Translation = (node) => {
  const x = node.x(0);
  const list = (k: number, name: string) => (node.opset < 10 ? node.ints(name) : node.known(k));
  const starts = list(1, "starts") ?? node.fail("starts are needed.");
  const ends = list(2, "ends") ?? node.fail("ends are needed.");
  const axes = axesOf(node, list(3, "axes") ?? [...starts.keys()], x.rank);
  const steps = (node.opset < 10 ? undefined : node.known(4)) ?? starts.map(() => 1);
  if (new Set([starts.length, ends.length, axes.length, steps.length]).size > 1)
    node.fail("starts, ends, axes and steps must be of one length.");
  return axes.reduce((y, axis, k) => oneSlice(node, y, axis, starts[k]!, ends[k]!, steps[k]!), x);
};

function oneSlice(node: OnnxNode, x: Tensor, axis: number, start: number, end: number, step: number): Tensor {
  const size = x.shape[axis]!;
  if (step === 0) node.fail("steps must not be 0.");
  const clamp = (p: number, low: number, high: number) => Math.min(Math.max(p < 0 ? p + size : p, low), high);
  const from = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const to = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  const entries = Math.max(0, Math.ceil((to - from) / step));
  if (entries === 0) {
    // The sizes before the first axis or after the last one, as shape arithmetic of exporters has it.
    if (isKnown(x)) return constant(x.dtype === "int32" ? new Int32Array() : new Float32Array(), x.shape.with(axis, 0));
    node.fail(
      `nothing remains of axis ${axis} with ${size} entries, cut from ${start} to ${end}; empty values are not translated.`,
    );
  }
  if (step > 0) return step === 1 ? x.slice(axis, from, to) : strided(x.slice(axis, from, to), axis, step, entries);
  return picked(
    node,
    x,
    axis,
    Array.from({ length: entries }, (_, k) => from + k * step),
  );
}

const MAX_PICKED = 2 ** 16;

/** Entries of an axis in any order. */
function picked(node: OnnxNode, x: Tensor, axis: number, positions: readonly number[]): Tensor {
  if (positions.length > MAX_PICKED)
    node.fail(`at most ${MAX_PICKED} entries are put in order, but ${positions.length} are here.`);
  return gather(x, ints(positions), axis);
}

/** Pads are an attribute before opset 11 and an operand since; negative ones cut. */
const pad: Translation = (node) => {
  const x = node.x(0);
  const old = node.opset < 11;
  const pads = (old ? node.ints("pads") : node.known(1)) ?? node.fail("pads are needed.");
  const axes = axesOf(node, (old ? undefined : node.known(3)) ?? [...x.shape.keys()], x.rank);
  if (pads.length !== 2 * axes.length)
    node.fail(`pads has two numbers for each of ${axes.length} axes, but has ${pads.length}.`);
  const mode = node.word("mode", "constant", ["constant", "reflect", "edge", "wrap"]);
  const value = (old ? node.float("value", 0) : node.knownNumber(2)) ?? 0;
  return axes.reduce((y, axis, k) => {
    const [before, after] = [pads[k]!, pads[axes.length + k]!];
    if (before === 0 && after === 0) return y;
    if (mode === "constant") return padded(y, axis, before, after, value);
    const size = y.shape[axis]!;
    if (mode === "wrap" && Math.min(before, after, size - before, size - after) < 0)
      node.fail(`pads that wrap around lie in [0, ${size}], but ${before} and ${after} came.`);
    if (!(size + before + after >= 1 && size + before + after <= MAX_PICKED))
      node.fail(`a padded axis has 1 to ${MAX_PICKED} entries here, but would have ${size + before + after}.`);
    return picked(
      node,
      y,
      axis,
      Array.from({ length: size + before + after }, (_, i) => sources[mode](i - before, size)),
    );
  }, x);
};

/** Position that stands for i outside of 0 … n − 1. */
const sources: Record<"reflect" | "edge" | "wrap", (i: number, n: number) => number> = {
  edge: (i, n) => Math.min(Math.max(i, 0), n - 1),
  wrap: (i, n) => ((i % n) + n) % n,
  reflect(i, n) {
    const period = Math.max(1, 2 * (n - 1));
    const at = ((i % period) + period) % period;
    return Math.min(at, period - at);
  },
};

/** Operators that take entries away at the ends of axes, or add some. */
export const cuts: Translations = { Slice: slice, Pad: pad };
