import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-web/webgpu";
import { ConfigError } from "../core/errors.ts";
import { emitOnnx } from "../onnx/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { feeder, type ToValue } from "./feeds.ts";
import { operatorsOf, type WebProvider, webProviders } from "./providers.ts";
import { allocate } from "./results.ts";
import type { Program, Runtime } from "./runtime.ts";

export interface WebRuntimeOptions {
  /** What runs the operators: the processor, or a graphics card, with the CPU for operators that it lacks. Default "wasm". */
  provider?: WebProvider;
  /**
   * Threads of one operator on the processor; the first runtime of a page decides. More than 1 needs a page that is
   * cross-origin isolated. Default 1.
   */
  threads?: number;
}

export type { WebProvider };

type Ort = typeof import("onnxruntime-web/webgpu");

/** ONNX Runtime in a browser, from the optional package onnxruntime-web. Throws ConfigError where the browser lacks what is asked for. */
export async function webRuntime({ provider = "wasm", threads = 1 }: WebRuntimeOptions = {}): Promise<Runtime> {
  if (!webProviders.includes(provider)) {
    throw new ConfigError(
      `A runtime in a browser has a provider of ${webProviders.join(", ")}, but "${provider}" came.`,
    );
  }
  if (threads > 1 && !globalThis.crossOriginIsolated) {
    throw new ConfigError(
      `${threads} threads share memory, which a browser allows only on a page that is cross-origin isolated, and this one is not. Serve it with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or set threads to 1.`,
    );
  }
  if (provider === "webgpu") await checkAdapter();
  const ort = await open(provider, threads);
  let compilations = 0;
  return {
    name: `web-${provider}`,
    get compilations() {
      return compilations;
    },
    async compile(outputs) {
      compilations++;
      return openProgram(ort, outputs, provider);
    },
  };
}

async function checkAdapter(): Promise<void> {
  const { gpu } = (globalThis.navigator ?? {}) as { gpu?: { requestAdapter(): Promise<object | null> } }; // none in Node 20
  if (await gpu?.requestAdapter()) return;
  throw new ConfigError(
    `Provider "webgpu" needs a browser with WebGPU and a graphics card that it uses, but ${gpu ? "it offers no adapter" : "navigator.gpu is missing"}. Take a recent Chrome, Edge, Firefox or Safari and a page from https: or localhost, or provider "wasm". For tests, Chromium computes WebGPU on the processor with --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader.`,
  );
}

/** Threads by provider: each is a module of its own, whose threads are fixed when it starts. */
const started = new Map<WebProvider, number>();

async function open(provider: WebProvider, threads: number): Promise<Ort> {
  const ort: Ort =
    provider === "webgpu" ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  const before = started.get(provider) ?? threads;
  if (before !== threads) {
    throw new ConfigError(
      `The threads of a page are fixed by its first runtime with provider "${provider}", which took ${before}, but ${threads} came. Take the same number, or load the page again.`,
    );
  }
  started.set(provider, threads);
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

async function openProgram(
  ort: Ort,
  outputs: Readonly<Record<string, Tensor>>,
  provider: WebProvider,
): Promise<Program> {
  const model = emitOnnx(outputs, { operators: operatorsOf[provider] });
  if (model.files) throw new ConfigError("Weights that stay in a file need Node: read them into arrays in a browser.");
  const session: InferenceSession = await ort.InferenceSession.create(model.bytes, {
    executionProviders: [provider],
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    enableMemPattern: false, // as in node.ts
    logSeverityLevel: 3,
    extra: { session: { set_denormal_as_zero: "1" } },
  });
  const { floats, integers } = allocate(model.outputs);
  const results = { ...floats, ...integers };
  const ortTensor: ToValue<OrtTensor> = (data, { shape, dtype }) =>
    new ort.Tensor(dtype, data as Float32Array, [...shape]);
  const toFeeds = feeder(model, ortTensor);

  return {
    inputs: model.inputs,
    outputs: model.outputs,
    integers,
    async run(feeds) {
      const values = await session.run(toFeeds(feeds));
      for (const [name, result] of Object.entries(results)) result.set(values[name]!.data as Float32Array);
      return floats;
    },
    release: () => session.release(),
  };
}
