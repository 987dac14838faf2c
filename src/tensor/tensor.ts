import { ShapeError } from "../core/errors.ts";
import { type Attrs, type DType, operatorNamed } from "./operator.ts";
import { normalizeAxes, type Shape, showShape, sizeOf } from "./shapes.ts";

/** A number or a tensor: wherever an operand is expected, numbers become scalars. */
export type Operand = Tensor | number;

let created = 0;

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
  readonly data: Float32Array | Int32Array | undefined;

  constructor(
    op: string,
    inputs: readonly Tensor[],
    attrs: Attrs,
    shape: Shape,
    dtype: DType,
    data?: Float32Array | Int32Array,
  ) {
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
  /** 1 where this > other, else 0 (float32). */
  greater(other: Operand): Tensor {
    return apply("greater", [this, other]);
  }
  neg(): Tensor {
    return apply("neg", [this]);
  }
  abs(): Tensor {
    return apply("abs", [this]);
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
  /** Softmax over the last axis. */
  softmax(): Tensor {
    return apply("softmax", [this]);
  }
  /** Log-softmax over the last axis. */
  logSoftmax(): Tensor {
    return apply("logSoftmax", [this]);
  }
  /** log Σ exp over the last axis, which is dropped. */
  logSumExp(): Tensor {
    const first = (x: Tensor) => x.slice(-1, 0, 1).reshape(x.shape.slice(0, -1));
    return first(this).sub(first(this.logSoftmax()));
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
    const [at] = normalizeAxes("slice", [axis], this.rank) as [number];
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
  /** The same value, through which no gradient flows. */
  stopGradient(): Tensor {
    return apply("stopGradient", [this]);
  }
}

/** A scalar or filled constant. */
export function fill(shape: Shape, value: number): Tensor {
  return new Tensor("fill", [], { shape, value }, shape, "float32");
}
export const zerosLike = (x: Tensor): Tensor => fill(x.shape, 0);

/** A named input of the graph, given at every run. */
export function input(name: string, shape: Shape, dtype: DType = "float32"): Tensor {
  return new Tensor("input", [], { name, shape }, shape, dtype);
}

/** A constant baked into the graph (frozen weights). The array is referenced, not copied: do not change it. */
export function constant(data: Float32Array | Int32Array, shape: Shape): Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(
      `constant: shape ${showShape(shape)} needs ${sizeOf(shape)} values, but ${data.length} were given.`,
    );
  }
  return new Tensor("constant", [], {}, shape, data instanceof Int32Array ? "int32" : "float32", data);
}

/** Applies a registered operator. Shape rules are checked here, once, while the graph is built. */
export function apply(op: string, operands: readonly Operand[], attrs: Attrs = {}): Tensor {
  const operator = operatorNamed(op);
  const inputs = operands.map((x) => (typeof x === "number" ? fill([], x) : x));
  const shape = operator.shape(inputs, attrs);
  return new Tensor(op, inputs, attrs, shape, operator.dtype ?? "float32");
}
