import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../src/runtime/node.ts";
import {
  avgPool2d,
  avgPool2x,
  type ConvTransposeOptions,
  constant,
  conv2d,
  convTranspose2d,
  evaluate,
  globalAvgPool2d,
  globalMaxPool2d,
  input,
  maxPool2d,
  type PoolOptions,
  type Tensor,
  vjp,
} from "../src/tensor/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";

interface Case {
  op: "conv2d" | "convTranspose2d" | "avgPool2d" | "maxPool2d";
  options: ConvTransposeOptions & PoolOptions;
  inputs: { shape: number[]; data: number[]; gradient: number[] }[];
  v: number[];
  shape: number[];
  y: number[];
}
const { cases }: { cases: Case[] } = JSON.parse(await readFile("tests/golden/conv.json", "utf8"));

function build({ op, options }: Case, [x, w, bias]: readonly Tensor[]): Tensor {
  if (op === "conv2d") return conv2d(x!, w!, options, bias);
  if (op === "convTranspose2d") return convTranspose2d(x!, w!, options, bias);
  return op === "avgPool2d" ? avgPool2d(x!, options) : maxPool2d(x!, options);
}
const named = cases.map((c) => [`${c.op} [${c.inputs[0]!.shape}] ${JSON.stringify(c.options)}`, c] as const);

describe("equals PyTorch (reference/conv_golden.py)", () => {
  test.each(named)("%s", (_, golden) => {
    const xs = golden.inputs.map(({ shape }, k) => input(`x${k}`, shape));
    const y = build(golden, xs);
    expect(y.shape).toEqual(golden.shape);
    const feeds = Object.fromEntries(golden.inputs.map(({ data }, k) => [`x${k}`, data]));
    const got = evaluate([y, ...vjp([y], [input("v", y.shape)], xs)], { ...feeds, v: golden.v });
    [golden.y, ...golden.inputs.map((i) => i.gradient)].forEach((want, k) => {
      expect(relativeError(got[k]!, want)).toBeLessThan(tolerances.golden);
    });
  });
});

// The contract tests give weights as inputs; frozen ones take other paths (flipped at once, blocked layouts).
test("frozen weights give the same in ONNX Runtime, value and input gradient", async () => {
  const graph: Record<string, Tensor> = {};
  const feeds: Record<string, Float32Array> = {};
  const wanted: Record<string, number[]> = {};
  for (const [k, golden] of cases.entries()) {
    const [x, ...weights] = golden.inputs;
    const frozen = weights.map(({ shape, data }) => constant(Float32Array.from(data), shape));
    const at = input(`x${k}`, x!.shape);
    const y = build(golden, [at, ...frozen]);
    graph[`y${k}`] = y;
    graph[`dx${k}`] = vjp([y], [input(`cotangent${k}`, y.shape)], [at])[0]!;
    feeds[`x${k}`] = Float32Array.from(x!.data);
    feeds[`cotangent${k}`] = Float32Array.from(golden.v);
    wanted[`y${k}`] = golden.y;
    wanted[`dx${k}`] = x!.gradient;
  }
  const program = await nodeRuntime({ threads: 1 }).compile(graph);
  const got = await program.run(Object.fromEntries(Object.keys(program.inputs).map((name) => [name, feeds[name]!])));
  for (const [name, want] of Object.entries(wanted))
    expect(relativeError(got[name]!, want), name).toBeLessThan(tolerances.float32);
  await program.release();
});

const x = input("x", [1, 2, 4, 6]);
const feeds = { x: Float64Array.from({ length: 48 }, (_, k) => Math.sin(k)) };

test("as many groups as channels: every channel is convolved by itself", () => {
  const w = constant(
    Float32Array.from({ length: 18 }, (_, k) => Math.cos(k)),
    [2, 1, 3, 3],
  );
  const channel = (c: number) => conv2d(x.slice(1, c, c + 1), w.slice(0, c, c + 1), { padding: 1 });
  const [together, first, second] = evaluate([conv2d(x, w, { padding: 1, groups: 2 }), channel(0), channel(1)], feeds);
  expect([...together!]).toEqual([...first!, ...second!]);
});

test("mean of 2×2 windows is avgPool2x", () => {
  const [a, b] = evaluate([avgPool2d(x, { kernel: 2 }), avgPool2x(x)], feeds);
  expect(relativeError(a!, b!)).toBeLessThan(1e-14);
});

test("global pooling is the pool whose window is the image", () => {
  const [mean, same, largest] = evaluate(
    [globalAvgPool2d(x), avgPool2d(x, { kernel: [4, 6] }), globalMaxPool2d(x)],
    feeds,
  );
  expect(relativeError(mean!, same!)).toBeLessThan(1e-14);
  const planes = [feeds.x.subarray(0, 24), feeds.x.subarray(24)];
  expect([...largest!]).toEqual(planes.map((plane) => Math.max(...plane)));
});

test("of equal largest values the first gets the gradient, in the reference and in ONNX Runtime", async () => {
  const y = maxPool2d(x, { kernel: 3, stride: 1, padding: 1 });
  const [dx] = vjp([y], [input("v", y.shape)], [x]) as [Tensor];
  const values = { x: new Float32Array(48), v: new Float32Array(48).fill(1) };
  const [want] = evaluate([dx], values);
  // Window (i, j) of an all-equal image starts at (i − 1, j − 1), so that position (0, 0) is first in four windows.
  expect([...want!.subarray(0, 6)]).toEqual([4, 2, 2, 2, 2, 0]);
  const program = await nodeRuntime({ threads: 1 }).compile({ dx });
  expect([...(await program.run(values)).dx!]).toEqual([...want!]);
  await program.release();
});

test("refusals say the rule and what came", () => {
  const w = (shape: number[]) => input("w", shape);
  expect(() => conv2d(x, w([3, 1, 3, 3]), { groups: 2 })).toThrow("groups must divide O");
  expect(() => conv2d(x, w([2, 2, 3, 3]), { groups: 2 })).toThrow("must share C");
  expect(() => conv2d(x, w([2, 2, 3, 3]), { dilation: 2 })).toThrow("must fit");
  expect(() => convTranspose2d(x, w([2, 2, 3, 3]), { outputPadding: 1 })).toThrow("outputPadding");
  expect(() => convTranspose2d(x, w([3, 2, 3, 3]))).toThrow("must share O");
  expect(() => convTranspose2d(x, w([2, 2, 3, 3]), { padding: 4 })).toThrow("must share O");
  expect(() => maxPool2d(x, { kernel: 3, padding: 2 })).toThrow("half the kernel");
});
