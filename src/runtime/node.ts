import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { ShapeError } from "../core/errors.ts";
import { emitOnnx, type ValueInfo } from "../onnx/index.ts";
import { showShape, sizeOf, type Tensor } from "../tensor/index.ts";
import { allocate } from "./results.ts";
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
    enableMemPattern: false, // the planned block holds what is freed until the end of a run: twice the peak (docs/log.md)
    logSeverityLevel: 3,
    extra: { session: { set_denormal_as_zero: "1" } },
  });
  const { floats, integers } = allocate(model.outputs);
  const fetches = Object.fromEntries(
    Object.entries({ ...floats, ...integers }).map(([name, data]) => [name, ortTensor(data, model.outputs[name]!)]),
  );
  const zero = model.zero === undefined ? {} : { [model.zero]: new OrtTensor("float32", Float32Array.of(0), []) };

  const toFeed = (feeds: Values) =>
    Object.fromEntries(
      Object.entries(model.inputs).map(([name, info]) => {
        const { shape, dtype } = info;
        const data = feeds[name];
        if (!data || data.length !== sizeOf(shape) || data instanceof Int32Array !== (dtype === "int32")) {
          throw new ShapeError(
            `run: input "${name}" needs ${dtype} ${showShape(shape)} (${sizeOf(shape)} values), but ${data ? `${data.length} values of ${data.constructor.name}` : "nothing"} came.`,
          );
        }
        return [name, ortTensor(data, info)];
      }),
    );

  return {
    inputs: model.inputs,
    outputs: model.outputs,
    integers,
    async run(feeds) {
      await session.run({ ...toFeed(feeds), ...zero }, fetches);
      return floats;
    },
    release: () => session.release(),
  };
}

/** Shares the memory of `data`, whose type must be that of the value. */
const ortTensor = (data: Float32Array | Int32Array, { shape, dtype }: ValueInfo): OrtTensor =>
  new OrtTensor(dtype, data as Float32Array, [...shape]);
