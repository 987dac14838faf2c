import { ShapeError } from "../core/errors.ts";
import type { FileRegion } from "../core/named-arrays.ts";
import { requireFloat32 } from "./dtypes.ts";
import { roundToHalf } from "./float16.ts";
import { type Attrs, type DType, operatorNamed } from "./operator.ts";
import { normalizeAxes, normalizeAxis, type Shape, showShape, sizeOf } from "./shapes.ts";

/** A number or a tensor: wherever an operand is expected, numbers become scalars. */
export type Operand = Tensor | number;

/** Values of a constant: in memory, or in a file that programs map into memory and share. */
export type ConstantData = Float32Array | Int32Array | FileRegion;

let created = 0;

/** The id of the next tensor. */
export const nextId = (): number => created;

/**
 * A value in a symbolic graph: which operator makes it from which inputs. It owns no memory and is never changed.
 * Shapes are static; a program is compiled for them.
 */
export class Tensor {
  /** Order of creation: inputs always have smaller ids than what is made from them. */
  readonly id = created++;
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly attrs: Attrs;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Values of a `constant`; undefined for every other operator. */
  readonly data: ConstantData | undefined;

  constructor(op: string, inputs: readonly Tensor[], attrs: Attrs, shape: Shape, dtype: DType, data?: ConstantData) {
    this.op = op;
    this.inputs = inputs;
    this.attrs = attrs;
    this.shape = shape;
    this.dtype = dtype;
    this.data = data;
  }

  get rank(): number {
    return this.shape.length;
  }
  get size(): number {
    return sizeOf(this.shape);
  }

  add(other: Operand): Tensor {
    return apply("add", [this, other]);
  }
  sub(other: Operand): Tensor {
    return apply("sub", [this, other]);
  }
  mul(other: Operand): Tensor {
    return apply("mul", [this, other]);
  }
  div(other: Operand): Tensor {
    return apply("div", [this, other]);
  }
  maximum(other: Operand): Tensor {
    return apply("maximum", [this, other]);
  }
  minimum(other: Operand): Tensor {
    return apply("minimum", [this, other]);
  }
  /** 1 where this > other, else 0 (float32), as are the other comparisons: a mask. No gradient flows through it. */
  greater(other: Operand): Tensor {
    return apply("greater", [this, other]);
  }
  greaterEqual(other: Operand): Tensor {
    return apply("greaterEqual", [this, other]);
  }
  less(other: Operand): Tensor {
    return apply("greater", [other, this]);
  }
  lessEqual(other: Operand): Tensor {
    return apply("greaterEqual", [other, this]);
  }
  equal(other: Operand): Tensor {
    return apply("equal", [this, other]);
  }
  notEqual(other: Operand): Tensor {
    return this.equal(other).neg().add(1);
  }
  /** min(max(x, low), high). The gradient is 0 outside [low, high]; for one bound use `maximum` or `minimum`. */
  clip(low: number, high: number): Tensor {
    return apply("clip", [this], { low, high });
  }
  neg(): Tensor {
    return apply("neg", [this]);
  }
  abs(): Tensor {
    return apply("abs", [this]);
  }
  /** −1, 0 or 1, with zero gradient, as the three roundings below. */
  sign(): Tensor {
    return apply("sign", [this]);
  }
  floor(): Tensor {
    return apply("floor", [this]);
  }
  ceil(): Tensor {
    return apply("ceil", [this]);
  }
  /** The nearest integer; halves go to the even one. */
  round(): Tensor {
    return apply("round", [this]);
  }
  /** x^p. A tensor p may vary by element (it broadcasts) and then x must be positive. */
  pow(p: Operand): Tensor {
    return typeof p === "number" ? apply("pow", [this], { exponent: p }) : this.log().mul(p).exp();
  }
  square(): Tensor {
    return this.mul(this);
  }
  sqrt(): Tensor {
    return apply("sqrt", [this]);
  }
  exp(): Tensor {
    return apply("exp", [this]);
  }
  log(): Tensor {
    return apply("log", [this]);
  }
  sin(): Tensor {
    return apply("sin", [this]);
  }
  cos(): Tensor {
    return apply("cos", [this]);
  }
  tanh(): Tensor {
    return apply("tanh", [this]);
  }
  erf(): Tensor {
    return apply("erf", [this]);
  }
  sigmoid(): Tensor {
    return apply("sigmoid", [this]);
  }
  relu(): Tensor {
    return apply("relu", [this]);
  }
  /** x·σ(x) */
  silu(): Tensor {
    return apply("silu", [this]);
  }
  /** x·σ(1.702x), the activation of OpenAI's CLIP. */
  quickGelu(): Tensor {
    return apply("quickGelu", [this]);
  }
  /** x·Φ(x) = x/2·(1 + erf(x/√2)) */
  gelu(): Tensor {
    return this.mul(0.5).mul(this.mul(Math.SQRT1_2).erf().add(1));
  }
  /** x/2·(1 + tanh(√(2/π)·(x + 0.044715x³))), the approximation of `gelu` that GPT-2 and T5 use. */
  geluTanh(): Tensor {
    const inner = this.add(this.square().mul(this).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
    return this.mul(0.5).mul(inner.tanh().add(1));
  }
  /** log(1 + eˣ), without overflow. */
  softplus(): Tensor {
    return apply("softplus", [this]);
  }
  /** log σ(x) = −softplus(−x), without overflow. */
  logSigmoid(): Tensor {
    return this.neg().softplus().neg();
  }
  /** x·tanh(softplus(x)) */
  mish(): Tensor {
    return this.mul(this.softplus().tanh());
  }

  /** Sum over `axes` (all when omitted). */
  sum(axes?: readonly number[], keepDims = false): Tensor {
    return apply("sum", [this], { axes: axes ?? this.shape.map((_, i) => i), keepDims });
  }
  /** Mean over `axes` (all when omitted). */
  mean(axes?: readonly number[], keepDims = false): Tensor {
    const over = normalizeAxes("mean", axes ?? this.shape.map((_, i) => i), this.rank);
    const count = over.reduce((n, axis) => n * this.shape[axis]!, 1);
    return this.sum(over, keepDims).mul(1 / count);
  }
  /** Largest value over `axes` (all when omitted). Equal largest values share the gradient. */
  max(axes?: readonly number[], keepDims = false): Tensor {
    return apply("max", [this], { axes: axes ?? this.shape.map((_, i) => i), keepDims });
  }
  /** Smallest value over `axes` (all when omitted). Equal smallest values share the gradient. */
  min(axes?: readonly number[], keepDims = false): Tensor {
    return apply("min", [this], { axes: axes ?? this.shape.map((_, i) => i), keepDims });
  }
  /** Mean of (x − mean)² over `axes` (all when omitted): divided by the count, not by one less. */
  variance(axes?: readonly number[], keepDims = false): Tensor {
    return this.sub(this.mean(axes, true)).square().mean(axes, keepDims);
  }
  /** log Σ exp over `axes` (the last when omitted), without overflow. */
  logSumExp(axes: readonly number[] = [-1], keepDims = false): Tensor {
    return apply("logSumExp", [this], { axes, keepDims });
  }
  /** Softmax over one axis. */
  softmax(axis = -1): Tensor {
    return apply("softmax", [this], { axis: normalizeAxis("softmax", axis, this.rank) });
  }
  /** Log-softmax over one axis. */
  logSoftmax(axis = -1): Tensor {
    return apply("logSoftmax", [this], { axis: normalizeAxis("logSoftmax", axis, this.rank) });
  }
  /** Running sum along one axis, or with `reverse` the sum of what follows, the element itself included. */
  cumsum(axis = -1, reverse = false): Tensor {
    return apply("cumsum", [this], { axis: normalizeAxis("cumsum", axis, this.rank), reverse });
  }

  /** New shape with the same number of elements; one entry may be −1. */
  reshape(shape: Shape): Tensor {
    const free = shape.indexOf(-1);
    const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
    const resolved = free < 0 ? shape : shape.map((d) => (d === -1 ? this.size / known : d));
    return apply("reshape", [this], { shape: resolved });
  }
  /** Permutes axes; reverses them when `perm` is omitted. */
  transpose(perm?: readonly number[]): Tensor {
    return apply("transpose", [this], { perm: perm ?? this.shape.map((_, i) => this.rank - 1 - i) });
  }
  /** Elements `start ≤ index < end` along one axis; negative positions count from the end. */
  slice(axis: number, start: number, end: number): Tensor {
    const at = normalizeAxis("slice", axis, this.rank);
    const size = this.shape[at]!;
    const from = start < 0 ? start + size : start;
    const to = end < 0 ? end + size : end;
    return apply("slice", [this], { axis: at, start: from, end: to });
  }
  /** Repeats size-1 axes so that the shape becomes `shape`. */
  expand(shape: Shape): Tensor {
    return apply("expand", [this], { shape });
  }
  /** Matrix product over the last two axes; leading axes broadcast. */
  matmul(other: Tensor, flags: { transA?: boolean; transB?: boolean } = {}): Tensor {
    return apply("matmul", [this, other], { transA: flags.transA ?? false, transB: flags.transB ?? false });
  }
  /**
   * The same values in another type: to int32 they are cut towards zero, and no gradient flows; to float16 they are rounded
   * to nearest, and so is the gradient (below 6e-8 it vanishes). Only layout and indexing operators take float16.
   */
  cast(to: DType): Tensor {
    return to === this.dtype ? this : apply("cast", [this], { to });
  }
  /** The same value, through which no gradient flows. */
  stopGradient(): Tensor {
    return apply("stopGradient", [this]);
  }
}

/** A scalar or filled constant. An int32 value must be one; a float16 value is rounded to nearest. */
export function fill(shape: Shape, value: number, dtype: DType = "float32"): Tensor {
  if (dtype === "int32" && value !== (value | 0)) {
    throw new ShapeError(
      `fill: an int32 tensor needs a 32-bit integer, but ${value} came. Use cast("float32") on the other operand.`,
    );
  }
  const held = dtype === "float16" ? roundToHalf(value) : value;
  return new Tensor("fill", [], { shape, value: held }, shape, dtype);
}
export const zerosLike = (x: Tensor): Tensor => fill(x.shape, 0, x.dtype);

/** A named input of the graph, given at every run as float32 or int32. */
export function input(name: string, shape: Shape, dtype: DType = "float32"): Tensor {
  if (dtype === "float16") {
    throw new ShapeError(
      `input: "${name}" must be float32 or int32, but float16 came: it exists inside graphs only. Use cast("float16") on a float32 input.`,
    );
  }
  return new Tensor("input", [], { name, shape }, shape, dtype);
}

/** A constant of the graph (frozen weights). The array or file is referenced, not copied: do not change it. */
export function constant(data: ConstantData, shape: Shape): Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(
      `constant: shape ${showShape(shape)} needs ${sizeOf(shape)} values, but ${data.length} were given.`,
    );
  }
  return new Tensor("constant", [], {}, shape, data instanceof Int32Array ? "int32" : "float32", data);
}

/**
 * Applies a registered operator. Shape and type rules are checked here, once, while the graph is built. Numbers become
 * scalars of the type of the last tensor among the operands.
 */
export function apply(op: string, operands: readonly Operand[], attrs: Attrs = {}): Tensor {
  const operator = operatorNamed(op);
  const like = operands.findLast((x) => typeof x !== "number")?.dtype ?? "float32";
  const inputs = operands.map((x) => (typeof x === "number" ? fill([], x, like) : x));
  const dtype = operator.dtype ? operator.dtype(inputs, attrs) : requireFloat32(op, inputs);
  return new Tensor(op, inputs, attrs, operator.shape(inputs, attrs), dtype);
}
