import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime, Values } from "../../src/runtime/runtime.ts";

/** One run of a program: what it was given, and what came out, both copied. */
export interface ProgramRun {
  /** By its outputs: a step of the sampler, an update, or something else. */
  program: "sample" | "update" | "other";
  feeds: Values;
  results: Values;
}

/** ONNX Runtime with a record of every run. */
export function spyRuntime(): { runtime: Runtime; runs: ProgramRun[] } {
  const runs: ProgramRun[] = [];
  const inner = nodeRuntime({ threads: 1 });
  const copied = (values: Values): Values =>
    Object.fromEntries(Object.entries(values).map(([name, data]) => [name, data.slice()]));
  const runtime: Runtime = {
    name: "spy",
    get compilations() {
      return inner.compilations;
    },
    async compile(outputs) {
      const program = await inner.compile(outputs);
      const names = Object.keys(outputs);
      const kind = names.includes("xNext")
        ? "sample"
        : names.some((name) => name.startsWith("loss."))
          ? "update"
          : "other";
      return {
        ...program,
        async run(feeds) {
          const results = await program.run(feeds);
          runs.push({ program: kind, feeds: copied(feeds), results: copied(results) });
          return results;
        },
      };
    },
  };
  return { runtime, runs };
}
