import type { ValueInfo } from "../onnx/index.ts";
import { sizeOf } from "../tensor/index.ts";

/** Memory for the outputs of a program, by type: every run fills it again. */
export interface Results {
  floats: Record<string, Float32Array>;
  integers: Record<string, Int32Array>;
}

export function allocate(outputs: Readonly<Record<string, ValueInfo>>): Results {
  const results: Results = { floats: {}, integers: {} };
  for (const [name, { shape, dtype }] of Object.entries(outputs)) {
    if (dtype === "int32") results.integers[name] = new Int32Array(sizeOf(shape));
    else results.floats[name] = new Float32Array(sizeOf(shape));
  }
  return results;
}
