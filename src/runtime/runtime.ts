import type { ValueInfo } from "../onnx/index.ts";
import type { Tensor } from "../tensor/index.ts";

export type Values = Readonly<Record<string, Float32Array | Int32Array>>;

/**
 * A compiled graph. It owns native memory until `release`. One that is dropped is released when it is collected, but the
 * collector knows nothing of native memory and takes its time.
 */
export interface Program {
  readonly inputs: Readonly<Record<string, ValueInfo>>;
  readonly outputs: Readonly<Record<string, ValueInfo>>;
  /** The int32 outputs of the last run, by name. */
  readonly integers: Readonly<Record<string, Int32Array>>;
  /**
   * Runs once and returns the float32 outputs; those of int32 are in `integers` then. `feeds` must hold every input with
   * exactly its number of elements. All these arrays are reused by the next run: copy what must outlive it, and await a run
   * before the next.
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
