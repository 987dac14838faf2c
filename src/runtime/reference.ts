import { emitOnnx } from "../onnx/index.ts";
import { evaluate } from "../tensor/index.ts";
import type { Runtime } from "./runtime.ts";

/** Runs graphs with the float64 references of the operators: slow, for tests. */
export function referenceRuntime(): Runtime {
  let compilations = 0;
  return {
    name: "reference",
    get compilations() {
      return compilations;
    },
    async compile(outputs) {
      compilations++;
      const { inputs, outputs: shapes } = emitOnnx(outputs);
      const names = Object.keys(outputs);
      return {
        inputs,
        outputs: shapes,
        async run(feeds) {
          const values = evaluate(Object.values(outputs), feeds);
          return Object.fromEntries(names.map((name, i) => [name, Float32Array.from(values[i]!)]));
        },
        release: async () => {},
      };
    },
  };
}
