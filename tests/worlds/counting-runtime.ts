import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";

/** A runtime that tells how many of its programs are open; compiling fails after `most` programs. */
export function countingRuntime(most = Number.POSITIVE_INFINITY): { runtime: Runtime; programs: { open: number } } {
  const inner = nodeRuntime({ threads: 1 });
  const programs = { open: 0 };
  return {
    programs,
    runtime: {
      name: inner.name,
      compilations: 0,
      async compile(outputs) {
        if (inner.compilations >= most) throw new Error("no more");
        const program = await inner.compile(outputs);
        programs.open++;
        return { ...program, release: () => program.release().then(() => void programs.open--) };
      },
    },
  };
}
