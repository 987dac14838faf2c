import type { InputInfo } from "../onnx/index.ts";
import type { Shape, Tensor } from "../tensor/index.ts";

export type Values = Readonly<Record<string, Float32Array | Int32Array>>;

/** A compiled graph. It owns native memory until `release`. */
export interface Program {
  readonly inputs: Readonly<Record<string, InputInfo>>;
  readonly outputs: Readonly<Record<string, Shape>>;
  /**
   * Runs once. `feeds` must hold every input with exactly its number of elements. The returned arrays are reused by the
   * next run: copy what must outlive it.
   */
  run(feeds: Values): Promise<Record<string, Float32Array>>;
  release(): Promise<void>;
}

/** Where graphs run. */
export interface Runtime {
  readonly name: string;
  /** Programs compiled so far: a loop that compiles nothing after its first step keeps this constant. */
  readonly compilations: number;
  compile(outputs: Readonly<Record<string, Tensor>>): Promise<Program>;
}
