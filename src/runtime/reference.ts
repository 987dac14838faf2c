import { emitOnnx } from "../onnx/index.ts";
import { evaluate } from "../tensor/index.ts";
import { allocate } from "./results.ts";
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
      const { inputs, outputs: wanted } = emitOnnx(outputs);
      const { floats, integers } = allocate(wanted);
      const names = Object.keys(outputs);
      return {
        inputs,
        outputs: wanted,
        integers,
        async run(feeds) {
          for (const [i, values] of evaluate(Object.values(outputs), feeds).entries())
            (floats[names[i]!] ?? integers[names[i]!]!).set(values);
          return floats;
        },
        release: async () => {},
      };
    },
  };
}
