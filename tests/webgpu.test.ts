import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, listSupportedBackends, Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/index.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { checkProvider, type NodeProvider, nodeRuntime } from "../src/runtime/node.ts";
import { nodeProviders } from "../src/runtime/providers.ts";
import { apply, evaluate, input, operatorNamed, sizeOf } from "../src/tensor/index.ts";
import { readConfig } from "../src/train/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { transpiled } from "./worlds/child.ts";
import { missingChromium, required, swiftShader } from "./worlds/chromium.ts";

describe("providers", () => {
  test("one that does not exist is refused with those that do", () => {
    expect(() => nodeRuntime({ provider: "gpu" as "cpu" })).toThrow('cpu, webgpu, cuda, coreml, dml, but "gpu" came');
  });

  const present = listSupportedBackends().map(({ name }) => name);
  test.each(nodeProviders.filter((provider) => !present.includes(provider)))(
    "%s is refused where this build lacks it",
    (provider) => {
      expect(() => nodeRuntime({ provider })).toThrow(
        /is not in ONNX Runtime for .*, which has .*cpu.*\. It is part of ONNX Runtime on/,
      );
    },
  );

  test("the configuration names one, and the name is checked", async () => {
    const provider = async (set: string[]) => (await readConfig("configs/worlds/ring8.yaml", { set })).train.provider;
    expect(await provider([])).toBe("cpu");
    expect(await provider(["train.provider=webgpu"])).toBe("webgpu");
    await expect(provider(["train.provider=gpu"])).rejects.toThrow(/train\.provider.*"gpu" came/s);
    await expect(checkProvider("cpu")).resolves.toBeUndefined();
  });
});

/** The optional operators, each with the operators whose emission asks for it. */
const asking = ["matmul", "conv2dWeight", "silu", "quickGelu", "sin", "cos"];

describe("emission for a backend that has none of the optional operators", () => {
  test.each(asking)("%s: standard operators, the same values", async (name) => {
    const rng = new Rng(5);
    for (const [k, sample] of operatorNamed(name).samples().entries()) {
      const xs = sample.inputs.map(({ shape }, i) => input(`x${i}`, shape));
      const outputs = { y: apply(name, xs, sample.attrs ?? {}) };
      const feeds = Object.fromEntries(
        sample.inputs.map(({ shape, low = -1, high = 1 }, i) => [
          `x${i}`,
          Float32Array.from(
            rng.uniform(sizeOf(shape), { purpose: "test", sample: k, step: i }),
            (u) => low + (high - low) * u,
          ),
        ]),
      );
      const { bytes } = emitOnnx(outputs, { operators: [] });
      const text = Buffer.from(bytes).toString("latin1");
      for (const missing of ["FusedMatMul", "QuickGelu", "Sin", "Cos"])
        expect(text).not.toMatch(new RegExp(`\\b${missing}_\\d`));
      const session = await InferenceSession.create(bytes);
      const found = await session.run(
        Object.fromEntries(xs.map((x, i) => [`x${i}`, new OrtTensor("float32", feeds[`x${i}`]!, [...x.shape])])),
      );
      expect(relativeError(found.y!.data as Float32Array, evaluate([outputs.y], feeds)[0]!)).toBeLessThan(
        tolerances.float32,
      );
      await session.release();
    }
  });

  test("sin and cos keep their digits far from zero", async () => {
    const x = input("x", [2000]);
    const outputs = { sin: x.sin(), cos: x.cos() };
    const feeds = { x: Float32Array.from({ length: 2000 }, (_, k) => k - 1000.3) };
    const session = await InferenceSession.create(emitOnnx(outputs, { operators: [] }).bytes);
    const found = await session.run({ x: new OrtTensor("float32", feeds.x, [2000]) });
    const [sin, cos] = evaluate([outputs.sin, outputs.cos], feeds);
    expect(relativeError(found.sin!.data as Float32Array, sin!)).toBeLessThan(5e-7);
    expect(relativeError(found.cos!.data as Float32Array, cos!)).toBeLessThan(5e-7);
    await session.release();
  });
});

const missing = missingChromium("tests/webgpu.test.ts:");
const timeout = 300_000; // seconds on an idle machine; SwiftShader compiles hundreds of shaders

/** Runs the comparison in a process with SwiftShader as its driver: a driver is chosen when a process starts. */
async function agreementOn(provider: NodeProvider, signal: AbortSignal): Promise<Record<string, number>> {
  const code = mkdtempSync(join(tmpdir(), "nablaflow-webgpu-"));
  try {
    transpiled(code);
    const program = `import { unetAgreement } from "./tests/worlds/unet-agreement.js";
process.stdout.write(JSON.stringify(await unetAgreement("${provider}")));`;
    writeFileSync(join(code, "agreement.js"), program);
    const child = spawn(process.execPath, [join(code, "agreement.js")], {
      env: swiftShader(),
      stdio: ["ignore", "pipe", "pipe"],
      signal, // a test that took too long leaves no process behind
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data) => {
      stdout += data;
    });
    child.stderr.on("data", (data) => {
      stderr += data;
    });
    const status = await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  } finally {
    rmSync(code, { recursive: true });
  }
}

test.skipIf(missing !== undefined && !required)(
  "a reduced U-Net on WebGPU agrees with the CPU to 1e-4, forward and backward",
  { timeout },
  async ({ signal }) => {
    const differences = await agreementOn("webgpu", signal);
    expect(Object.keys(differences)).toEqual(expect.arrayContaining(["y", "d x", "d text", "d conv_in.weight"]));
    const worst = Object.entries(differences).sort((a, b) => b[1] - a[1])[0]!;
    expect(worst[1], worst[0]).toBeLessThan(1e-4);
  },
);
