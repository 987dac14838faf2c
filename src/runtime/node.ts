import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { ShapeError } from "../core/errors.ts";
import { emitOnnx } from "../onnx/index.ts";
import { showShape, sizeOf, type Tensor } from "../tensor/index.ts";
import type { Program, Runtime, Values } from "./runtime.ts";

export interface NodeRuntimeOptions {
  /** Threads of one operator. Results are bit-identical only for the same number. */
  threads?: number;
}

/** ONNX Runtime in Node, on the CPU. */
export function nodeRuntime({ threads = 2 }: NodeRuntimeOptions = {}): Runtime {
  let compilations = 0;
  return {
    name: "node-cpu",
    get compilations() {
      return compilations;
    },
    async compile(outputs) {
      compilations++;
      return openProgram(outputs, threads);
    },
  };
}

async function openProgram(outputs: Readonly<Record<string, Tensor>>, threads: number): Promise<Program> {
  const model = emitOnnx(outputs);
  const session = await InferenceSession.create(model.bytes, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    extra: { session: { set_denormal_as_zero: "1" } },
  });
  const fetches = Object.fromEntries(
    Object.entries(model.outputs).map(([name, shape]) => [
      name,
      new OrtTensor("float32", new Float32Array(sizeOf(shape)), [...shape]),
    ]),
  );
  const results = Object.fromEntries(Object.entries(fetches).map(([name, t]) => [name, t.data as Float32Array]));

  const toFeed = (feeds: Values) =>
    Object.fromEntries(
      Object.entries(model.inputs).map(([name, { shape, dtype }]) => {
        const data = feeds[name];
        if (!data || data.length !== sizeOf(shape) || data instanceof Int32Array !== (dtype === "int32")) {
          throw new ShapeError(
            `run: input "${name}" needs ${dtype} ${showShape(shape)} (${sizeOf(shape)} values), but ${data ? `${data.length} values of ${data.constructor.name}` : "nothing"} came.`,
          );
        }
        return [name, new OrtTensor(dtype, data as Float32Array, [...shape])];
      }),
    );

  return {
    inputs: model.inputs,
    outputs: model.outputs,
    async run(feeds) {
      await session.run(toFeed(feeds), fetches);
      return results;
    },
    release: () => session.release(),
  };
}
