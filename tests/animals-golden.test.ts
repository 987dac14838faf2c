import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { alphasCumprod } from "../src/diffusion/index.ts";
import { loadDiffusers } from "../src/models/diffusers.ts";
import { asConstants } from "../src/nn/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { input } from "../src/tensor/index.ts";
import { readSafetensorsFile } from "../src/weights/index.ts";
import { relativeError } from "./tolerances.ts";

const golden = (name: string) => fileURLToPath(new URL(`golden/animals-32.${name}`, import.meta.url));

// Made by reference/animals_golden.py: diffusers and transformers read assets/models/animals-32.
describe("the bundled model computes what diffusers computes from the same folder", async () => {
  const { prompts, tokens } = JSON.parse(readFileSync(golden("json"), "utf8")) as {
    prompts: string[];
    tokens: number[][];
  };
  const { tensors } = await readSafetensorsFile(golden("safetensors"));
  const model = await loadDiffusers("assets/models/animals-32");

  test("token ids", () => {
    expect([...model.tokenize(prompts)]).toEqual(tokens.flat());
  });

  test("noise schedule", () => {
    expect(relativeError(alphasCumprod(model.scheduler), tensors.alphas_cumprod!.data)).toBeLessThan(1e-5);
  });

  test("text encoding and U-Net output", async () => {
    const B = prompts.length;
    const params = asConstants(model.weights);
    const x = input("x", [B, ...model.shape]);
    const t = input("t", [B]);
    const condition = model.encode(params, input("tokens", [B, model.tokenLength], "int32"));
    const time = { t, alphaBar: t, progress: t };
    const program = await nodeRuntime({ threads: 1 }).compile({
      text: condition.text!,
      out: model.predict(params, x, time, condition),
    });
    const feeds = { x: tensors.x!.data, t: tensors.t!.data, tokens: model.tokenize(prompts) };
    const { text, out } = await program.run(feeds);
    expect(relativeError(text!, tensors.text!.data)).toBeLessThan(1e-4);
    expect(relativeError(out!, tensors.out!.data)).toBeLessThan(1e-4);
    await program.release();
  });
});
