import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { importOnnx, type OnnxModel, readOnnx } from "../src/onnx/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { evaluate, gradient, input } from "../src/tensor/index.ts";
import { readSafetensorsFile } from "../src/weights/index.ts";

// Made by reference/onnx_export_golden.py: networks of transformers, torchvision and diffusers that torch exported with one
// batch size, and what torch computes with another: in float64, from the float32 weights of the file.

const folder = fileURLToPath(new URL("golden/onnx-export/", import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith(".onnx"));
const runtime = nodeRuntime({ threads: 1 });

/** float64 here and there; exporters round what they fold (batch norm, 1/√d, ε of a norm) to float32. */
const REFERENCE = 1e-6;
/** float32 kernels, a gradient through all layers included. */
const FLOAT32 = 5e-6;

/** Largest |a − b| over the largest |b|: gradients are much smaller than 1. */
function errorOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  const differences = Array.from(a, (value, k) => Math.abs(value - b[k]!));
  return Math.max(...differences) / Math.max(...Array.from(b, Math.abs));
}

async function runOriginal(bytes: Uint8Array, model: OnnxModel, tensors: NamedArrays): Promise<OrtTensor> {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  const feeds = model.inputs.map(({ name, dtype }) => {
    const { data, shape } = tensors[name]!;
    const numbers = dtype === "int32" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
    return [name, new OrtTensor(numbers, shape)];
  });
  const { output } = await session.run(Object.fromEntries(feeds));
  await session.release();
  return output!;
}

test.each(files)("%s gives the outputs and gradients of torch", async (file) => {
  const bytes = readFileSync(folder + file);
  const model = await readOnnx(bytes, { name: file });
  const { tensors } = await readSafetensorsFile(folder + file.replace(/\.[^.]+\.onnx$/, ".values.safetensors"));
  const want = (name: string) => tensors[name]!.data as Float32Array;

  const xs = model.inputs.map(({ name, dtype }) => input(name, tensors[name]!.shape, dtype));
  const { output } = importOnnx(model, Object.fromEntries(model.inputs.map(({ name }, k) => [name, xs[k]!])));
  expect(output!.shape).toEqual(tensors.output!.shape);
  const loss = output!.mul(input("cotangent", output!.shape)).sum();
  const floats = xs.filter(({ dtype }) => dtype === "float32");
  const slopes = gradient(loss, floats);
  const feeds: Record<string, Float32Array | Int32Array> = { cotangent: want("cotangent") };
  model.inputs.forEach(({ name, dtype }) => {
    feeds[name] = dtype === "int32" ? Int32Array.from(want(name)) : want(name);
  });
  const names = model.inputs.filter(({ dtype }) => dtype === "float32").map(({ name }) => `gradient.${name}`);

  const exact = evaluate([output!, ...slopes], feeds);
  expect(errorOf(exact[0]!, want("output")), "float64 output").toBeLessThan(REFERENCE);
  for (const [k, name] of names.entries()) expect(errorOf(exact[k + 1]!, want(name)), name).toBeLessThan(REFERENCE);

  const program = await runtime.compile({
    output: output!,
    ...Object.fromEntries(slopes.map((slope, k) => [names[k]!, slope])),
  });
  const got = await program.run(Object.fromEntries(Object.keys(program.inputs).map((name) => [name, feeds[name]!])));
  for (const name of ["output", ...names]) expect(errorOf(got[name]!, want(name)), name).toBeLessThan(FLOAT32);
  const original = await runOriginal(bytes, model, tensors);
  expect(original.dims).toEqual(output!.shape);
  expect(errorOf(got.output!, original.data as Float32Array), "ONNX Runtime").toBeLessThan(FLOAT32);
  await program.release();
});

test("an operator without a translation is refused by its name, its node and what is needed", async () => {
  const file = "vit.dynamo-18.onnx";
  const proto = fromBinary(ModelProtoSchema, readFileSync(folder + file));
  const node = proto.graph!.node.find(({ opType }) => opType === "Softmax")!;
  node.opType = "GridSample";
  const model = await readOnnx(toBinary(ModelProtoSchema, proto), { name: file });
  const refused = () => importOnnx(model, { pixels: input("pixels", [2, 3, 32, 32]) });
  expect(refused).toThrow(FormatError);
  expect(refused).toThrow(`${file}: node ${JSON.stringify(node.name)} (GridSample, ai.onnx 18)`);
  expect(refused).toThrow(/an entry in src\/onnx\/import\/operators\/ .*differentiable tensor operators/);
});
