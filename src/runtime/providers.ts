import type { OptionalOperator } from "../tensor/index.ts";

/** What runs operators in Node: the processor, any graphics card, NVIDIA, Apple, DirectML on Windows. */
export const nodeProviders = ["cpu", "webgpu", "cuda", "coreml", "dml"] as const;
export type NodeProvider = (typeof nodeProviders)[number];

/** The same in a browser: WebAssembly on the processor, or WebGPU. */
export const webProviders = ["wasm", "webgpu"] as const;
export type WebProvider = (typeof webProviders)[number];

const standard = ["Sin", "Cos"] as const;
const all = ["FusedMatMul", "QuickGelu", ...standard] as const;

/**
 * What a provider has kernels for. Without one, ONNX Runtime runs an operator on the CPU, between two copies. WebGPU has sin
 * and cos, but WGSL asks of them only an error of 2^-11, and only from -π to π.
 */
export const operatorsOf: Readonly<Record<NodeProvider | WebProvider, readonly OptionalOperator[]>> = {
  cpu: all,
  wasm: all,
  webgpu: ["QuickGelu"],
  cuda: all,
  coreml: standard,
  dml: ["FusedMatMul", ...standard],
};
