import type { Shape } from "./shapes.ts";
import type { Tensor } from "./tensor.ts";

/** float16 exists inside graphs only, to store and to move values: see `arithmeticDtype`. */
export type DType = "float32" | "int32" | "float16";
export type AttrValue = number | string | boolean | readonly number[];
export type Attrs = Readonly<Record<string, AttrValue>>;

/** What a backend compiler of ONNX nodes offers to an operator's emission. Values are referred to by name. */
export interface Emitter {
  /** Appends a node and returns the name of its first output. */
  node(opType: string, inputs: readonly string[], attrs?: NodeAttrs, options?: NodeOptions): string;
  /** Appends a node with several outputs and returns their names. */
  nodes(
    opType: string,
    inputs: readonly string[],
    attrs: NodeAttrs,
    outputs: number,
    options?: NodeOptions,
  ): readonly string[];
  /** A small float constant. */
  floats(values: ArrayLike<number>, shape: Shape): string;
  /** A small int64 constant (axes, shapes, perms). */
  ints(values: readonly number[], shape?: Shape): string;
  /** A scalar that is 0 at every run, which no optimiser knows. */
  zero(): string;
  /** Runs `build` once per key, so that two operators can share one node. */
  shared<T>(key: string, build: () => T): T;
  /** Contents of a value that is a float constant of the graph and held in memory. */
  constantData(name: string): Float32Array | undefined;
  /** Whether a value is a float constant of the graph, wherever its contents lie. */
  isConstant(name: string): boolean;
  /** Adds a constant computed while emitting (for example flipped frozen weights). */
  constant(data: Float32Array, shape: Shape): string;
  /** Whether the backend has a kernel for this operator, to the accuracy of float32; if not, emit others in its place. */
  has(opType: OptionalOperator): boolean;
}
/** Operators that not every backend has: two of com.microsoft, and two that WebGPU computes to three digits only. */
export type OptionalOperator = "FusedMatMul" | "QuickGelu" | "Sin" | "Cos";
export type NodeAttrs = Readonly<Record<string, number | string | readonly number[] | { float: number }>>;
export interface NodeOptions {
  domain?: "com.microsoft";
}

/** An operand of the float64 reference: row-major values and their shape. */
export interface ReferenceArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** Inputs for contract tests: shapes, the range values are drawn from, attributes. */
export interface OperatorSample {
  inputs: readonly {
    shape: Shape;
    low?: number;
    high?: number;
    /** Makes the input int32, drawn from 0 … integers − 1. */
    integers?: number;
    /** Keeps this distance from values where the derivative jumps (for example 0 for abs). */
    avoid?: number;
    /** The values are low + k·spaced in random order, for operators that jump where two values are equal. */
    spaced?: number;
  }[];
  attrs?: Attrs;
  /** The reference rounds the result, so that no difference quotient tells the derivative. */
  rounds?: boolean;
}

export interface OperatorNode {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly attrs: Attrs;
}

/** Everything an operator states. Gradient checks, runtime parity, second order and import derive from it. */
export interface Operator {
  readonly name: string;
  /** Output shape; throws ShapeError with the rule and what came. */
  shape(inputs: readonly Tensor[], attrs: Attrs): Shape;
  /** Type of the output; throws ShapeError for operands it cannot take. Omitted: all are float32. See dtypes.ts. */
  dtype?(inputs: readonly Tensor[], attrs: Attrs): DType;
  /** Slow, obvious float64 evaluation. */
  reference(inputs: readonly ReferenceArray[], attrs: Attrs, shape: Shape): Float64Array;
  /**
   * Cotangents of the inputs given the cotangent of the output; null where the derivative is zero or undefined, or where
   * `wanted` says that nobody asks for it.
   */
  vjp(node: OperatorNode, cotangent: Tensor, wanted: readonly boolean[]): readonly (Tensor | null)[];
  /** Emits ONNX nodes and returns the name of the value. */
  emit(emitter: Emitter, inputs: readonly string[], node: OperatorNode): string;
  /** Inputs the contract tests try. */
  samples(): readonly OperatorSample[];
}

const registered = new Map<string, Operator>();

/** Registers an operator under its name and returns it. */
export function defineOperator(operator: Operator): Operator {
  if (registered.has(operator.name)) throw new Error(`operator ${operator.name} is defined twice`);
  registered.set(operator.name, operator);
  return operator;
}

/** All registered operators, for contract tests and documentation. */
export const operators = (): readonly Operator[] => [...registered.values()];

export function operatorNamed(name: string): Operator {
  const found = registered.get(name);
  if (!found) throw new Error(`unknown operator ${name}; known: ${[...registered.keys()].join(", ")}`);
  return found;
}
