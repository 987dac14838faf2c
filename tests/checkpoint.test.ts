import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Rng } from "../src/core/index.ts";
import { parseUNetConfig, unet, unetSpecs } from "../src/models/unet.ts";
import { asInputs, initialize } from "../src/nn/index.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { checkpoint, evaluate, gather, gradient, input, type Tensor, topologicalOrder } from "../src/tensor/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { transpiled } from "./worlds/child.ts";
import { tinyUNet } from "./worlds/tiny-unet.ts";

const folder = mkdtempSync(join(tmpdir(), "checkpoint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Wrap = (block: (x: Tensor) => Tensor) => (x: Tensor) => Tensor;
const plain: Wrap = (block) => block;

const x = input("x", [4, 5]);
const weights = [0, 1, 2].map((k) => input(`w${k}`, [5, 5]));
/** Three residual blocks x + tanh(x·w)·x, each with a weight that it closes over. */
const stack = (wrap: Wrap) => weights.reduce((h, w) => wrap((h) => h.add(h.matmul(w).tanh().mul(h)))(h), x);
const lossOf = (y: Tensor) => y.square().mean();
const feeds = Object.fromEntries(
  [x, ...weights].map((t, i) => [
    t.attrs.name as string,
    Float32Array.from({ length: t.size }, (_, k) => Math.sin(1 + k + 31 * i)),
  ]),
);
const grads = (wrap: Wrap, xs = [x, ...weights]) => gradient(lossOf(stack(wrap)), xs);

describe("derivatives are those without checkpoints", () => {
  test("first, by the argument and by what the function closes over", () => {
    expect(evaluate(grads(checkpoint), feeds)).toEqual(evaluate(grads(plain), feeds));
  });

  test("second", () => {
    const second = (wrap: Wrap) =>
      gradient(
        grads(wrap)
          .map((g) => g.square().sum())
          .reduce((p, q) => p.add(q)),
        [x, ...weights],
      );
    const want = evaluate(second(plain), feeds);
    evaluate(second(checkpoint), feeds).forEach((got, k) => {
      expect(relativeError(got, want[k]!)).toBeLessThan(1e-12); // sums in another order
    });
  });

  test("in ONNX Runtime, of checkpoints in a checkpoint too", async () => {
    const nested: Wrap = (block) => checkpoint((h) => checkpoint(block)(checkpoint(block)(h)));
    const twice: Wrap = (block) => (h) => block(block(h));
    for (const [wrapped, bare] of [
      [checkpoint, plain],
      [nested, twice],
    ] as const) {
      const runtime = nodeRuntime({ threads: 1 });
      const [program, reference] = await Promise.all(
        [wrapped, bare].map((wrap) => runtime.compile(Object.fromEntries(grads(wrap).map((g, k) => [`g${k}`, g])))),
      );
      const got = await program!.run(feeds);
      const want = await reference!.run(feeds);
      for (const name of Object.keys(want))
        expect(relativeError(got[name]!, want[name]!)).toBeLessThan(tolerances.recomputed);
    }
  });

  test("where arguments meet each other, or come before one another", () => {
    const a = x.sin();
    const b = a.mul(x); // made from a, which is an argument too
    const f = (p: Tensor, q: Tensor, r: Tensor) => p.mul(q).add(r.exp()).mul(a).add(b.tanh());
    const of = (y: Tensor) => evaluate(gradient(lossOf(y), [x, a, b]), feeds);
    expect(of(checkpoint(f)(a, b, a))).toEqual(of(f(a, b, a)));
  });

  test("with integer arguments, which have none", () => {
    const ids = input("ids", [3], "int32");
    const f = (h: Tensor, at: Tensor) => gather(h.tanh(), at);
    const of = (y: Tensor) => evaluate(gradient(lossOf(y), [x]), { ...feeds, ids: [3, 0, 3] });
    expect(of(checkpoint(f)(x, ids))).toEqual(of(f(x, ids)));
  });

  test("and an infinite cotangent spoils no more than without", async () => {
    const huge = input("huge", [4, 5]);
    const of = (wrap: Wrap) =>
      gradient(
        wrap((h) => h.mul(2).tanh())(x)
          .mul(huge)
          .sum(),
        [x],
      )[0]!;
    const program = await nodeRuntime({ threads: 1 }).compile({ wrapped: of(checkpoint), bare: of(plain) });
    const { wrapped, bare } = await program.run({ ...feeds, huge: new Float32Array(20).fill(1).fill(Infinity, 0, 1) });
    expect(wrapped).toEqual(bare);
    expect(wrapped!.slice(1).every(Number.isFinite)).toBe(true);
  });
});

test("a U-Net in a checkpoint has the gradients of one without, by every parameter and by its input", () => {
  const config = parseUNetConfig(tinyUNet);
  const arrays = initialize(unetSpecs(config), new Rng(5));
  const values = (t: Tensor) => Float32Array.from({ length: t.size }, (_, k) => Math.sin(3 * k + 1));
  const [state, t, text] = [input("state", [1, 2, 4, 4]), input("t", [1]), input("text", [1, 3, 3])];
  const params = asInputs(arrays, "");
  const at = {
    ...Object.fromEntries(Object.entries(arrays).map(([name, { data }]) => [name, data])),
    ...Object.fromEntries([state, t, text].map((one) => [one.attrs.name as string, values(one)])),
  };
  const of = (wrap: Wrap) => {
    const y = wrap((x) => unet(params, config, x, t, text))(state);
    return evaluate(gradient(lossOf(y), [state, text, ...Object.values(params)]), at);
  };
  const want = of(plain);
  of(checkpoint).forEach((got, k) => {
    expect(relativeError(got, want[k]!)).toBeLessThan(1e-12); // sums in another order
  });
});

test("a batch of none has gradients of zero", async () => {
  const [none, w] = [input("none", [0, 5]), weights[0]!];
  const [dw, dx] = gradient(checkpoint((h: Tensor) => h.matmul(w).tanh())(none).sum(), [w, none]);
  const program = await nodeRuntime({ threads: 1 }).compile({ dw: dw!, dx: dx! });
  const found = await program.run({ none: new Float32Array(0), w0: feeds.w0! });
  expect(found).toEqual({ dw: new Float32Array(25), dx: new Float32Array(0) });
});

test("a function that does not compute with its arguments is left alone", () => {
  const y = x.sin();
  expect(checkpoint((h) => h)(x)).toBe(x);
  expect(checkpoint((_: Tensor) => y)(x)).toBe(y);
});

test("a gradient that nobody asks for is not computed", () => {
  const count = (xs: readonly Tensor[]) =>
    topologicalOrder(grads(checkpoint, [...xs])).filter(({ op }) => op === "matmul").length;
  // Per block two products to compute y twice, then one for the gradient by h and one for that by w.
  expect(count([x])).toBe(9);
  expect(count([x, ...weights])).toBe(12);
});

test("the recomputation survives our emission and the optimiser of ONNX Runtime, which merge equal computations", async () => {
  /** How often a node stands in the model that ONNX Runtime makes of a graph. */
  const count = async (opType: string, outputs: readonly Tensor[]) => {
    const path = join(folder, "optimised.onnx");
    const { bytes } = emitOnnx(Object.fromEntries(outputs.map((y, k) => [`y${k}`, y])));
    const session = await InferenceSession.create(bytes, {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      optimizedModelFilePath: path,
      logSeverityLevel: 3,
    });
    await session.release();
    return fromBinary(ModelProtoSchema, readFileSync(path)).graph!.node.filter((node) => node.opType === opType).length;
  };
  expect(await count("Tanh", grads(plain))).toBe(3);
  expect(await count("Tanh", grads(checkpoint))).toBe(6);
  expect(await count("Tanh", [stack(checkpoint), ...grads(checkpoint)])).toBe(6);
  expect(await count("Tanh", [stack(checkpoint)])).toBe(3);
  expect(await count("Tanh", [...grads(plain), stack(plain)])).toBe(3);
});

/** Prints VmHWM, the peak of resident memory in KiB, after the gradient of a deep stack; each way in a process of its own. */
const peakProgram = `
import { readFileSync } from "node:fs";
import { nodeRuntime } from "./src/runtime/node.js";
import { checkpoint, gradient, input } from "./src/tensor/index.js";
const wrap = process.argv[2] === "checkpoint" ? checkpoint : (block) => block;
const x = input("x", [4096, 128]); // 2 MiB
const ws = Array.from({ length: 24 }, (_, k) => input("w" + k, [128, 128]));
let h = x;
for (const w of ws) h = wrap((h) => h.add(h.sin().tanh().mul(h.sigmoid()).matmul(w).tanh()))(h);
const gradients = gradient(h.square().mean(), ws).map((g, k) => ["g" + k, g]);
const program = await nodeRuntime({ threads: 1 }).compile(Object.fromEntries(gradients));
const filled = ({ size }) => new Float32Array(size).fill(0.01);
await program.run(Object.fromEntries([x, ...ws].map((t) => [t.attrs.name, filled(t)])));
console.log(/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
`;

/** The same for all parameter gradients of a U-Net whose attentions see 16×16 and 8×8 pixels. */
const unetProgram = `
import { readFileSync } from "node:fs";
import { Rng } from "./src/core/index.js";
import { parseUNetConfig, unet, unetSpecs } from "./src/models/unet.js";
import { asInputs, initialize } from "./src/nn/index.js";
import { nodeRuntime } from "./src/runtime/node.js";
import { gradient, input } from "./src/tensor/index.js";
const config = parseUNetConfig({
  sample_size: 32, in_channels: 3, out_channels: 3, block_out_channels: [64, 128, 128], layers_per_block: 2,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  cross_attention_dim: 64, attention_head_dim: 4, norm_num_groups: 32,
});
const arrays = initialize(unetSpecs(config), new Rng(0));
const params = asInputs(arrays, "");
const given = [input("x", [16, 3, 32, 32]), input("t", [16]), input("text", [16, 8, 64])];
const y = unet(params, config, ...given, { gradientCheckpointing: process.argv[2] === "checkpoint" });
const names = Object.keys(params);
const gradients = gradient(y.square().mean(), Object.values(params)).map((g, k) => ["gradient." + names[k], g]);
const program = await nodeRuntime({ threads: 2 }).compile(Object.fromEntries(gradients));
const feeds = Object.fromEntries(names.map((name) => [name, arrays[name].data]));
for (const t of given) feeds[t.attrs.name] = Float32Array.from({ length: t.size }, (_, k) => Math.sin(k));
await program.run(feeds);
console.log(/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
`;

// Only Linux tells a process the peak of its memory in /proc.
describe.runIf(process.platform === "linux")("peak memory", () => {
  beforeAll(() => {
    writeFileSync(join(transpiled(folder), "peak.js"), peakProgram);
    writeFileSync(join(folder, "unet.js"), unetProgram);
  }, 120_000);

  const peaksOf = (program: string) =>
    ["plain", "checkpoint"].map((way) =>
      Number(execFileSync(process.execPath, [join(folder, program), way], { encoding: "utf8" })),
    );

  test("of all parameter gradients of a U-Net falls by 45 % and more, the process itself and its weights included", () => {
    const [kept, recomputed] = peaksOf("unet.js");
    expect(recomputed! / kept!).toBeLessThan(0.55);
  }, 300_000);

  test("of the gradient of a deep stack of blocks falls by most of what the blocks compute", () => {
    const [kept, recomputed] = peaksOf("peak.js");
    // 24 blocks × 6 values that the weight gradients need × 2 MiB = 288 MiB, of which the block inputs remain, 48 MiB: 240
    // less. Were weight gradients computed last of all, a product's operand per block would remain too: 192 less.
    expect((kept! - recomputed!) / 1024).toBeGreaterThan(216);
  });
});
