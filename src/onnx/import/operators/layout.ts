import { concat, split, tile } from "../../../tensor/index.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";
import { axesOf, axisOf } from "./axes.ts";

const count = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

/** 0 keeps the size of its axis (unless allowzero), −1 is what remains. */
const reshape: Translation = (node) => {
  const x = node.x(0);
  const wanted = node.known(1) ?? node.fail("the shape is needed.");
  const kept = wanted.map((d, i) => (d === 0 && !node.flag("allowzero") ? (x.shape[i] ?? 0) : d));
  if (kept.filter((d) => d === -1).length > 1) node.fail(`one −1 may stand in a shape, but [${wanted}] came.`);
  return x.reshape(kept);
};

/** The axes before `axis` as rows, the others as columns; axis = rank makes a column of one row each. */
const flatten: Translation = (node) => {
  const x = node.x(0);
  const given = node.int("axis", 1);
  const axis = given === x.rank ? given : axisOf(node, given, x.rank);
  return x.reshape([count(x.shape.slice(0, axis)), count(x.shape.slice(axis))]);
};

/** Axes are an attribute before opset 13 and an operand since. */
const axesGiven = (node: OnnxNode) => (node.opset < 13 ? node.ints("axes") : node.known(1));

const squeeze: Translation = (node) => {
  const x = node.x(0);
  const given = axesGiven(node);
  const gone = given ? axesOf(node, given, x.rank) : [...x.shape.keys()].filter((i) => x.shape[i] === 1);
  if (gone.some((i) => x.shape[i] !== 1)) node.fail(`axes that go must have size 1, but ${gone} of [${x.shape}] came.`);
  return x.reshape(x.shape.filter((_, i) => !gone.includes(i)));
};

const unsqueeze: Translation = (node) => {
  const x = node.x(0);
  const given = axesGiven(node) ?? node.fail("axes are needed.");
  const made = axesOf(node, given, x.rank + given.length);
  const sizes = [...x.shape];
  return x.reshape(Array.from({ length: x.rank + made.length }, (_, i) => (made.includes(i) ? 1 : sizes.shift()!)));
};

/** Broadcasts both ways: a size of 1 leaves the operand's. */
const expand: Translation = (node) => {
  const x = node.x(0);
  const wanted = node.known(1) ?? node.fail("the shape is needed.");
  const rank = Math.max(x.rank, wanted.length);
  const from = (shape: readonly number[], i: number) => shape[i - (rank - shape.length)] ?? 1;
  return x.expand(Array.from({ length: rank }, (_, i) => (from(wanted, i) === 1 ? from(x.shape, i) : from(wanted, i))));
};

/** Sizes are an attribute before opset 13 and an operand since; without them the pieces are equal, but for the last. */
const cut: Translation = (node) => {
  const x = node.x(0);
  const axis = axisOf(node, node.int("axis", 0), x.rank);
  const pieces = node.int("num_outputs", node.outputs);
  const size = x.shape[axis]!;
  const each = Math.ceil(size / pieces);
  const equal = () => Array.from({ length: Math.min(pieces, size) }, (_, k) => Math.min(each, size - k * each));
  return split(x, (node.opset < 13 ? node.ints("split") : node.known(1)) ?? equal(), axis);
};

/** [B, C·b², H, W] → [B, C, H·b, W·b]; DCR: blocks are the slow part of the channels, CRD: the fast one. */
const depthToSpace: Translation = (node) => {
  const x = node.ofRank(0, 4);
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const b = node.int("blocksize", 0);
  if (!(b >= 1) || C % (b * b) !== 0) node.fail(`blocksize² must divide the ${C} channels, but blocksize is ${b}.`);
  const c = C / (b * b);
  const blocks = node.word("mode", "DCR", ["DCR", "CRD"]) === "DCR";
  const parts = blocks
    ? x.reshape([B, b, b, c, H, W]).transpose([0, 3, 4, 1, 5, 2])
    : x.reshape([B, c, b, b, H, W]).transpose([0, 1, 4, 2, 5, 3]);
  return parts.reshape([B, c, H * b, W * b]);
};

/** [B, C, H, W] → [B, b²·C, H/b, W/b] */
const spaceToDepth: Translation = (node) => {
  const x = node.ofRank(0, 4);
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const b = node.int("blocksize", 0);
  if (!(b >= 1) || H % b !== 0 || W % b !== 0) node.fail(`blocksize must divide ${H} and ${W}, but is ${b}.`);
  const parts = x.reshape([B, C, H / b, b, W / b, b]).transpose([0, 3, 5, 1, 2, 4]);
  return parts.reshape([B, b * b * C, H / b, W / b]);
};

/** Operands without an entry on the axis add nothing. */
const joined: Translation = (node) => {
  const axis = axisOf(node, node.int("axis", 0), node.x(0).rank);
  const filled = node.operands.filter((x) => x.shape[axis] !== 0);
  return filled.length === 0 ? node.x(0) : concat(filled, axis);
};

/** Operators that move values about. */
export const layouts: Translations = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: (node) => node.x(0).transpose(node.ints("perm")),
  Expand: expand,
  Tile: (node) => tile(node.x(0), node.known(1) ?? node.fail("the repeats are needed.")),
  Concat: joined,
  Split: cut,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
