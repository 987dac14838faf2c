import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { FormatError, ShapeError } from "../src/core/errors.ts";
import { assetPath } from "../src/core/package-root.ts";
import { convnet } from "../src/models/convnet.ts";
import { loadConvnet } from "../src/models/convnet-folder.ts";
import { asConstants } from "../src/nn/index.ts";
import { domains } from "../src/onnx/import/operators/index.ts";
import { emitOnnx, importOnnx, readOnnx } from "../src/onnx/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { evaluate, gradient, input } from "../src/tensor/index.ts";
import { centralDifference } from "./central-difference.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { cases, type OperatorCase } from "./worlds/onnx-cases.ts";
import { floatInput, floatTensor, intTensor, modelBytes, node, wave } from "./worlds/onnx-model.ts";

const runtime = nodeRuntime({ threads: 1 });

const bytesOf = ({ op, opset, x, constants = [], attributes = {}, outputs = 1, domain, masks = [] }: OperatorCase) => {
  const names = constants.map((c, k) => (c === "" ? "" : `c${k}`));
  const stored = constants.flatMap((c, k) => {
    if (c === "") return [];
    return ["ints" in c ? intTensor(`c${k}`, c.ints, c.shape) : floatTensor(`c${k}`, c.floats, c.shape)];
  });
  return modelBytes({
    opset,
    microsoft: domain !== undefined,
    inputs: x.map((shape, k) => floatInput(`x${k}`, shape)),
    initializers: masks.length > 0 ? [...stored, floatTensor("zero", [0], [])] : stored,
    nodes: [
      ...masks.map((k) => node("Greater", [`x${k}`, "zero"], [`m${k}`])),
      node(
        op,
        [...x.map((_, k) => (masks.includes(k) ? `m${k}` : `x${k}`)), ...names],
        Array.from({ length: outputs }, (_, k) => `y${k}`),
        attributes,
        domain,
      ),
    ],
    outputs: Array.from({ length: outputs }, (_, k) => `y${k}`),
  });
};

const feedsOf = ({ x, range: [low, high] = [-1.6, 1.6] }: OperatorCase) =>
  Object.fromEntries(
    x.map((shape, k) => [`x${k}`, wave(shape, k).map((v) => low + ((v + 1.61) / 3.22) * (high - low))]),
  );

async function runOriginal(bytes: Uint8Array, feeds: Record<string, Float32Array>, shapes: Record<string, number[]>) {
  const session = await InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 4,
  });
  const results = await session.run(
    Object.fromEntries(Object.entries(feeds).map(([name, v]) => [name, new OrtTensor("float32", v, shapes[name]!)])),
  );
  await session.release();
  return results;
}

describe("each operator gives what ONNX Runtime gives on the original file, and its gradient is the slope", () => {
  const named = cases.map(
    (c) => [`${c.op} ${c.opset} ${JSON.stringify(c.attributes ?? {})} [${c.x.join("] [")}]`, c] as const,
  );
  test.each(named)("%s", async (_, operator) => {
    const bytes = bytesOf(operator);
    const feeds = feedsOf(operator);
    const shapes = Object.fromEntries(operator.x.map((shape, k) => [`x${k}`, [...shape]]));
    const wanted = await runOriginal(bytes, feeds, shapes);
    const xs = Object.fromEntries(operator.x.map((shape, k) => [`x${k}`, input(`x${k}`, shape)]));
    const ys = importOnnx(await readOnnx(bytes, { name: "case.onnx" }), xs);
    expect(Object.keys(ys)).toEqual(Object.keys(wanted));
    for (const [name, y] of Object.entries(ys)) {
      const want = wanted[name]!;
      expect(y.shape, name).toEqual(want.dims);
      const [got] = evaluate([y], feeds);
      const numbers = Array.from(want.data as unknown as ArrayLike<number | bigint | boolean>, Number);
      expect(relativeError(got!, numbers), name).toBeLessThan(operator.tolerance ?? tolerances.float32);
    }
    const y = ys.y0!;
    if (y.dtype !== "float32") return;
    const loss = y.mul(input("v", y.shape)).sum();
    const all: Record<string, Float32Array> = { ...feeds, v: wave(y.shape, 3) };
    const slopes = gradient(loss, Object.values(xs));
    const wantedSlopes = evaluate(slopes, all);
    for (const [k, name] of Object.keys(xs).entries()) {
      const slope = wantedSlopes[k]!;
      for (const at of [0, slope.length >> 1, slope.length - 1]) {
        const want = centralDifference(loss, all, name, at);
        expect(relativeError([slope[at]!], [want]), `d/d${name}[${at}]`).toBeLessThan(tolerances.gradient);
      }
    }
    // What is emitted for the translation runs as its reference says.
    const program = await runtime.compile({ y, ...Object.fromEntries(slopes.map((slope, k) => [`slope${k}`, slope])) });
    const got = await program.run(Object.fromEntries(Object.keys(program.inputs).map((name) => [name, all[name]!])));
    expect(relativeError(got.y!, evaluate([y], feeds)[0]!)).toBeLessThan(tolerances.float32);
    wantedSlopes.forEach((want, k) => {
      expect(relativeError(got[`slope${k}`]!, want), `slope ${k}`).toBeLessThan(tolerances.float32);
    });
    await program.release();
  });

  test("no translation is without a case", () => {
    const tried = new Set(cases.map(({ op, domain = "" }) => `${domain}:${op}`));
    const elsewhere = [":Constant", ":Shape", ":Size", ":Range", ":ConstantOfShape", ":OneHot", ":CastLike"];
    const known = Object.entries(domains).flatMap(([domain, set]) => Object.keys(set).map((op) => `${domain}:${op}`));
    expect(known.filter((op) => !tried.has(op) && !elsewhere.includes(op))).toEqual([]);
  });
});

describe("whole graphs", () => {
  const shapeArithmetic = (opset: number) =>
    modelBytes({
      opset,
      inputs: [floatInput("x", ["batch", 3, "h", "w"])],
      initializers: [
        intTensor("first", [0]),
        intTensor("two", [2]),
        intTensor("end", [9223372036854775807n]),
        intTensor("minus", [-1]),
        intTensor("zero", [0], []),
        intTensor("one", [1], []),
        intTensor("none", [], [0]),
      ],
      nodes: [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["b"], { axis: 0 }),
        ...(opset < 13
          ? [node("Unsqueeze", ["b"], ["b1"], { axes: [0] })]
          : [node("Unsqueeze", ["b", "first"], ["b1"])]),
        node("Slice", ["s", "two", "end", "first"], ["hw"]),
        node("Cast", ["hw"], ["f"], { to: 1 }),
        node("Constant", [], ["half"], { value: { tensor: floatTensor("", [0.5], []) } }),
        node("Mul", ["f", "half"], ["g"]),
        node("Floor", ["g"], ["g1"]),
        node("Cast", ["g1"], ["half_hw"], { to: 7 }),
        node("Concat", ["b1", "minus", "half_hw"], ["target"], { axis: 0 }),
        node("Reshape", ["x", "target"], ["r"]), // [B, 12, H/2, W/2]
        node("Size", ["s"], ["n"]),
        node("Range", ["zero", "n", "one"], ["steps"]), // 0 1 2 3
        node("Cast", ["steps"], ["sf"], { to: 1 }),
        node("ReduceSum", opset < 13 ? ["sf"] : ["sf", "first"], ["six"], opset < 13 ? { axes: [0] } : {}),
        node("Mul", ["r", "six"], ["t"]),
        node("ConstantOfShape", ["b1"], ["zeros"], { value: { tensor: floatTensor("", [3], [1]) } }),
        node("ReduceMax", ["zeros"], ["three"], { keepdims: 0 }),
        node("Add", ["t", "three"], ["y"]),
      ],
      outputs: ["y"],
    });

  test.each([11, 13, 17, 21, 23])("shape arithmetic becomes whole numbers, opset %i", async (opset) => {
    const bytes = shapeArithmetic(opset);
    const x = input("x", [2, 3, 4, 6]);
    const feeds = { x: wave(x.shape) };
    const { y } = importOnnx(await readOnnx(bytes, { name: "shapes.onnx" }), { x });
    const want = (await runOriginal(bytes, feeds, { x: [...x.shape] })).y!;
    expect(y!.shape).toEqual([2, 12, 2, 3]);
    expect(want.dims).toEqual([2, 12, 2, 3]);
    expect(relativeError(evaluate([y!], feeds)[0]!, want.data as Float32Array)).toBeLessThan(tolerances.float32);
  });

  test("a network of ours comes back from its own emission with equal values and gradients", async () => {
    const { config, weights } = await loadConvnet(assetPath("models/style-score"));
    const x = input("images", [2, 3, 32, 32]);
    const own = convnet(asConstants(weights), config, x).logits.style!;
    const { logits } = importOnnx(await readOnnx(emitOnnx({ logits: own }).bytes, { name: "own.onnx" }), { images: x });
    const slope = (y: typeof own) => gradient(y.mul(input("v", y.shape)).sum(), [x])[0]!;
    const program = await runtime.compile({
      own,
      again: logits!,
      ownSlope: slope(own),
      againSlope: slope(logits!),
    });
    const got = await program.run({ images: wave(x.shape).map((v) => 0.5 + v / 4), v: wave(own.shape, 1) });
    expect(relativeError(got.again!, got.own!)).toBeLessThan(tolerances.float32);
    expect(relativeError(got.againSlope!, got.ownSlope!)).toBeLessThan(tolerances.float32);
    expect(got.ownSlope!.some((v) => Math.abs(v) > 1e-3)).toBe(true);
    await program.release();
  });

  test("only what an output depends on needs inputs and translations", async () => {
    const bytes = modelBytes({
      opset: 17,
      inputs: [floatInput("image", [1, 4]), floatInput("text", [1, 4])],
      nodes: [
        node("Relu", ["image"], ["seen"]),
        node("NonMaxSuppression", ["text", "seen"], ["boxes"]),
        node("Neg", ["seen"], ["y"]),
      ],
      outputs: ["boxes", "y"],
    });
    const model = await readOnnx(bytes, { name: "two.onnx" });
    const image = input("image", [1, 4]);
    const { y, seen } = importOnnx(model, { image }, ["y", "seen"]);
    expect([...evaluate([y!, seen!], { image: [1, -2, 3, -4] })[0]!]).toEqual([-1, -0, -3, -0]);
    expect(() => importOnnx(model, { image })).toThrow(/input "text" needs float32 \[1, 4\]/);
    expect(() => importOnnx(model, { image: input("image", [2, 4]) }, ["y"])).toThrow(ShapeError);
    const both = { image, text: input("text", [1, 4]) };
    expect(() => importOnnx(model, both)).toThrow(FormatError);
    expect(() => importOnnx(model, both)).toThrow(
      /node "NonMaxSuppression of boxes" \(NonMaxSuppression, ai.onnx 17\)/,
    );
    expect(() => importOnnx(model, both, ["z"])).toThrow(/makes no value "z".*boxes, y/);
  });
});
