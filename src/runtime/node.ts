import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { emitOnnx } from "../onnx/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { feeder, type ToValue } from "./feeds.ts";
import { checkProvider, refuseAbsent } from "./node-providers.ts";
import { type NodeProvider, operatorsOf } from "./providers.ts";
import { allocate } from "./results.ts";
import type { Program, Runtime } from "./runtime.ts";
import { checkWeightFiles, mappingSettings } from "./weight-files.ts";

export interface NodeRuntimeOptions {
  /** Threads of one operator. Results are bit-identical only for the same number. */
  threads?: number;
  /** What runs the operators; those that it lacks run on the CPU. Default "cpu". */
  provider?: NodeProvider;
}

export { checkProvider, type NodeProvider };

/**
 * ONNX Runtime in Node. Throws ConfigError for a provider that is not in this build; compiling throws it where the provider
 * has no device, and `checkProvider` tells beforehand.
 */
export function nodeRuntime({ threads = 2, provider = "cpu" }: NodeRuntimeOptions = {}): Runtime {
  refuseAbsent(provider);
  let compilations = 0;
  return {
    name: `node-${provider}`,
    get compilations() {
      return compilations;
    },
    async compile(outputs) {
      compilations++;
      await checkProvider(provider);
      return openProgram(outputs, threads, provider);
    },
  };
}

async function openProgram(
  outputs: Readonly<Record<string, Tensor>>,
  threads: number,
  provider: NodeProvider,
): Promise<Program> {
  const model = emitOnnx(outputs, { operators: operatorsOf[provider] });
  const { files } = model;
  if (files) await checkWeightFiles(files);
  const session = await InferenceSession.create(model.bytes, {
    executionProviders: [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: files ? "extended" : "all", // "all" copies convolution weights into a blocked layout
    enableMemPattern: false, // the planned block holds what is freed until the end of a run: twice the peak (docs/log.md)
    logSeverityLevel: 3,
    extra: { session: { set_denormal_as_zero: "1", ...(files && mappingSettings(files)) } },
  });
  const { floats, integers } = allocate(model.outputs);
  const fetches = Object.fromEntries(
    Object.entries({ ...floats, ...integers }).map(([name, data]) => [name, ortTensor(data, model.outputs[name]!)]),
  );
  const toFeeds = feeder(model, ortTensor);

  return {
    inputs: model.inputs,
    outputs: model.outputs,
    integers,
    async run(feeds) {
      await session.run(toFeeds(feeds), fetches);
      return floats;
    },
    release: () => session.release(),
  };
}

const ortTensor: ToValue<OrtTensor> = (data, { shape, dtype }) =>
  new OrtTensor(dtype, data as Float32Array, [...shape]);
