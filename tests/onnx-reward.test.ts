import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError, ShapeError } from "../src/core/errors.ts";
import { assetPath } from "../src/core/package-root.ts";
import { convnet } from "../src/models/convnet.ts";
import { loadConvnet } from "../src/models/convnet-folder.ts";
import { asConstants } from "../src/nn/index.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { onnx, styleScore } from "../src/rewards/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { evaluate, fill, gradient, input, resize, type Tensor } from "../src/tensor/index.ts";
import { resolveConfig } from "../src/train/config.ts";
import { centralDifference } from "./central-difference.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { floatInput, floatTensor, modelBytes, node, typedInput, wave } from "./worlds/onnx-model.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nablaflow-onnx-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function saved(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

type Options = NonNullable<Parameters<typeof onnx>[0]>;
async function scored(options: Options, images: Tensor): Promise<Tensor> {
  const reward = await onnx(options).load();
  if (!reward.differentiable) throw new Error("must be differentiable");
  return reward.score({ images, prompts: fill([images.shape[0]!, 1], 0) });
}

/** y[b, c] = mean over pixels of channel c, of pictures of the given axes. */
const channelMeans = (axes: readonly (number | string)[], layout = "nchw") =>
  modelBytes({
    opset: 17,
    inputs: [floatInput("pixels", axes)],
    nodes: [node("ReduceMean", ["pixels"], ["means"], { axes: layout === "nchw" ? [2, 3] : [1, 2], keepdims: 0 })],
    outputs: ["means"],
  });

const pictures = (count: number, side = 8) => input("images", [count, 3, side, side]);
const values = (x: Tensor) => ({ images: wave(x.shape).map((v) => 0.5 + v / 4) });

describe("score", () => {
  test("is scale · output[index] of (range · picture − mean)/std", async () => {
    const path = saved("means.onnx", channelMeans(["n", 3, "h", "w"]));
    const x = pictures(3);
    const mean = [100, 110, 120];
    const std = [50, 60, 70];
    const y = await scored({ path, size: 8, range: 255, mean, std, index: 1, scale: -2 }, x);
    const want = x.slice(1, 1, 2).mul(255).sub(110).div(60).mean([1, 2, 3]).mul(-2);
    const [got, expected] = evaluate([y, want], values(x));
    expect(y.shape).toEqual([3]);
    expect(relativeError(got!, expected!)).toBeLessThan(tolerances.float32); // mean/std is a float32 constant
  });

  test("pictures are resized with antialiasing to the size that the file states, in either layout", async () => {
    for (const mode of ["bilinear", "bicubic"] as const) {
      const x = pictures(2);
      const want = resize(x, [5, 4], { mode, antialias: true }).slice(1, 2, 3).mean([1, 2, 3]);
      for (const layout of ["nchw", "nhwc"] as const) {
        const axes = layout === "nchw" ? ["n", 3, 5, 4] : ["n", 5, 4, 3];
        const path = saved(`${layout}.onnx`, channelMeans(axes, layout));
        const y = await scored({ path, resize: mode, layout, index: 2 }, x);
        const [got, expected] = evaluate([y, want], values(x));
        expect(relativeError(got!, expected!), `${mode} ${layout}`).toBeLessThan(1e-12);
      }
    }
  });

  test("a file for one picture at once scores a batch one by one; scores and slopes are those of the open file", async () => {
    const x = pictures(3, 6);
    const fixed = await scored({ path: saved("one.onnx", channelMeans([1, 3, 6, 6])), index: 0 }, x);
    const open = await scored({ path: saved("open.onnx", channelMeans(["n", 3, 6, 6])), index: 0 }, x);
    const slope = (y: Tensor) => gradient(y.mul(input("v", [3])).sum(), [x])[0]!;
    const got = evaluate([fixed, open, slope(fixed), slope(open)], { ...values(x), v: [1, -2, 0.5] });
    expect(relativeError(got[0]!, got[1]!)).toBeLessThan(1e-14);
    expect(relativeError(got[2]!, got[3]!)).toBeLessThan(1e-14);
    const pairs = saved("pairs.onnx", channelMeans([2, 3, 6, 6]));
    await expect(scored({ path: pairs, index: 0 }, x)).rejects.toThrow(/takes 2 pictures at once, into which 3/);
  });

  test("has the slope of its own values, and permuting the batch permutes the scores", async () => {
    const bytes = modelBytes({
      opset: 13,
      inputs: [floatInput("x", ["n", 3, 6, 6])],
      initializers: [floatTensor("w", wave([4, 3, 3, 3]), [4, 3, 3, 3]), floatTensor("head", wave([1, 4], 2), [1, 4])],
      nodes: [
        node("Conv", ["x", "w"], ["c"], { pads: [1, 1, 1, 1], strides: [2, 2] }),
        node("Sigmoid", ["c"], ["s"]),
        node("Mul", ["c", "s"], ["a"]),
        node("GlobalAveragePool", ["a"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "head"], ["score"], { transB: 1 }),
      ],
      outputs: ["score"],
    });
    const x = pictures(2, 9);
    const feeds = values(x);
    const y = await scored({ path: saved("net.onnx", bytes), scale: 3 }, x);
    const loss = y.mul(input("v", [2])).sum();
    const [slope] = evaluate(gradient(loss, [x]), { ...feeds, v: [1, -0.7] });
    for (const at of [0, 100, 242, 243, 485]) {
      const want = centralDifference(loss, { ...feeds, v: [1, -0.7] }, "images", at);
      expect(relativeError([slope![at]!], [want])).toBeLessThan(tolerances.gradient);
    }
    const half = feeds.images.length / 2;
    const swapped = [...feeds.images.subarray(half), ...feeds.images.subarray(0, half)];
    const [straight] = evaluate([y], feeds);
    expect([...evaluate([y], { images: swapped })[0]!].reverse()).toEqual([...straight!]);
  });

  test("style-score exported to ONNX is the same reward", async () => {
    const { config, weights } = await loadConvnet(assetPath("models/style-score"));
    const x = input("x", [4, 3, 32, 32]);
    const wanted = config.heads.style!.indexOf("fluent-emoji");
    const logits = convnet(asConstants(weights), config, x).logits.style!;
    const own = await styleScore({}).load();
    if (!own.differentiable) throw new Error("must be differentiable");
    const exported = saved(
      "style.onnx",
      emitOnnx({ score: own.score({ images: x, prompts: fill([4, 1], 0) }), logits }).bytes,
    );
    const images = pictures(4, 32);
    const [score, logit] = await Promise.all([
      scored({ path: exported, output: "score" }, images),
      scored({ path: exported, output: "logits", index: wanted }, images),
    ]);
    const want = own.score({ images, prompts: fill([4, 1], 0) });
    const program = await nodeRuntime({ threads: 1 }).compile({
      score,
      want,
      logit,
      wantLogit: convnet(asConstants(weights), config, images)
        .logits.style!.slice(1, wanted, wanted + 1)
        .reshape([4]),
      slope: gradient(score.sum(), [images])[0]!,
      wantSlope: gradient(want.sum(), [images])[0]!,
    });
    const got = await program.run(values(images));
    expect(relativeError(got.score!, got.want!)).toBeLessThan(tolerances.float32);
    expect(relativeError(got.logit!, got.wantLogit!)).toBeLessThan(tolerances.float32);
    expect(relativeError(got.slope!, got.wantSlope!)).toBeLessThan(tolerances.float32);
    await program.release();
  });
});

describe("refusals", () => {
  const refuses = (options: Options, type: new (message: string) => Error, text: RegExp) =>
    Promise.all([
      expect(onnx(options).load()).rejects.toThrow(type),
      expect(onnx(options).load()).rejects.toThrow(text),
    ]);

  test("options are checked before the file is opened", () => {
    const file = { model: { kind: "diffusers", path: "nowhere" }, prompts: ["a cat"] };
    const config = (reward: object) => () =>
      resolveConfig({ file: { ...file, reward: { kind: "onnx", ...reward } }, source: "test" });
    expect(config({})).toThrow(/path/);
    expect(config({ path: "a.onnx", size: 0 })).toThrow(ConfigError);
    expect(config({ path: "a.onnx", std: [1, 1, 0] })).toThrow(/std/);
    expect(config({ path: "a.onnx", layout: "chw" })).toThrow(/layout/);
    expect(config({ path: "a.onnx", meen: [0, 0, 0] })).toThrow(/meen/);
    expect(config({ path: "a.onnx", range: 128 })).toThrow(/range/);
    expect(config({ path: "a.onnx" })().reward).toMatchObject({ kind: "onnx", layout: "nchw", range: 1, scale: 1 });
  });

  test("what the file does not have is refused when it is loaded, with the way out", async () => {
    const open = saved("any-size.onnx", channelMeans(["n", 3, "h", "w"]));
    const fixed = saved("fixed.onnx", channelMeans(["n", 3, 8, 8]));
    await refuses({ path: join(folder, "none.onnx"), size: 8 }, ConfigError, /cannot be read/);
    await refuses({ path: open, index: 0 }, ConfigError, /any size; give reward.size/);
    await refuses({ path: fixed, size: [8, 9], index: 0 }, ConfigError, /\[8, 8\].*8, 9/);
    await refuses({ path: fixed }, ConfigError, /3 numbers per picture; give reward.index, from 0 to 2/);
    await refuses({ path: fixed, index: 3 }, ConfigError, /from 0 to 2/);
    await refuses({ path: fixed, index: 0, output: "mean" }, ConfigError, /no output "mean".*means/);
    await refuses({ path: fixed, index: 0, layout: "nhwc" }, ConfigError, /layout nhwc.*"nchw"/s);
    const reward = await onnx({ path: fixed, index: 0 }).load();
    if (!reward.differentiable) throw new Error("must be differentiable");
    expect(() => reward.score({ images: input("x", [4, 2]), prompts: fill([4, 1], 0) })).toThrow(ShapeError);
  });

  test("several inputs or outputs, integers, unknown operators", async () => {
    const relu = (output: string, from: string) => node("Relu", [from], [output]);
    const inputs = [floatInput("a", ["n", 3, 4, 4]), floatInput("b", ["n", 3, 4, 4])];
    const two = modelBytes({
      opset: 17,
      inputs,
      nodes: [node("Add", ["a", "b"], ["y"]), relu("z", "a")],
      outputs: ["y", "z"],
    });
    const path = saved("two.onnx", two);
    await refuses({ path, index: 0 }, ConfigError, /several outputs; give reward.output, one of y, z/);
    await refuses({ path, index: 0, output: "y" }, ConfigError, /one input, the pictures, but depends on a, b/);
    await expect(onnx({ path, index: 0, output: "z" }).load()).resolves.toMatchObject({ kind: "onnx" });
    const whole = modelBytes({
      opset: 17,
      inputs: [typedInput("x", ["n", 3, 4, 4], 2)],
      nodes: [node("Cast", ["x"], ["y"], { to: 1 })],
      outputs: ["y"],
    });
    await refuses({ path: saved("uint8.onnx", whole), index: 0 }, ConfigError, /is UINT8/);
    const odd = modelBytes({
      opset: 17,
      inputs: inputs.slice(0, 1),
      nodes: [node("Hardmax", ["a"], ["y"])],
      outputs: ["y"],
    });
    await refuses({ path: saved("odd.onnx", odd), index: 0 }, FormatError, /Hardmax, ai.onnx 17.*no translation/);
    mkdirSync(join(folder, "dir.onnx"));
    await refuses({ path: join(folder, "dir.onnx"), index: 0 }, ConfigError, /is no file/);
  });
});
