import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { afterAll, describe, expect, test, vi } from "vitest";
import { addInspect } from "../src/cli/inspect.ts";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { constant, input } from "../src/tensor/index.ts";
import { writeSafetensorsFile } from "../src/weights/index.ts";

const repository = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const golden = (path: string): string => repository(`tests/golden/${path}`);
const folder = mkdtempSync(join(tmpdir(), "nablaflow-inspect-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What `nabla inspect` prints. */
async function inspect(...args: string[]): Promise<string> {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    const program = new Command();
    addInspect({ program, signal: new AbortController().signal });
    await program.parseAsync(["inspect", ...args], { from: "user" });
    return write.mock.calls.map(([text]) => String(text)).join("");
  } finally {
    write.mockRestore();
  }
}
const described = async (path: string): Promise<unknown> => JSON.parse(await inspect(path, "--json"));

describe("files", () => {
  test("safetensors: formats, tensors, parameters, metadata", async () => {
    expect(await described(golden("safetensors/formats.safetensors"))).toMatchObject({
      kind: "safetensors",
      tensors: 15,
      parameters: 6 * 9 + 5 + 5 + 5 + 5 + 3 + 3 + 3 + 3 + 3,
      dtypes: { F64: 1, BOOL: 1 },
      metadata: { made_by: "safetensors" },
      bytes: 1237,
    });
  });

  test("torch zip", async () => {
    expect(await described(golden("torch-zip/wrapped.pt"))).toMatchObject({
      kind: "torch zip",
      tensors: 4,
      parameters: 4 * 3 * 9 + 4 + 2 * 6 + 2,
      dtypes: { F32: 4 },
      metadata: { epoch: "3" },
    });
  });

  test("ONNX: opset, inputs, outputs, parameters", async () => {
    const path = join(folder, "model.onnx");
    const weight = constant(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
    writeFileSync(path, emitOnnx({ y: input("x", [4, 3]).matmul(weight) }).bytes);
    const json = await described(path);
    expect(json).toMatchObject({ kind: "onnx", inputs: { x: [4, 3] }, outputs: { y: [4, 2] }, parameters: 6 });
    expect((json as { opsets: Record<string, number> }).opsets["ai.onnx"]).toBe(21);
  });

  test("what is none of these is refused; so is nothing", async () => {
    const path = join(folder, "text");
    writeFileSync(path, "\x08\x07 some text");
    await expect(inspect(path)).rejects.toThrow(FormatError);
    await expect(inspect(join(folder, "none"))).rejects.toThrow(ConfigError);
    await expect(inspect("owner/name")).rejects.toThrow(/or hf:owner\/name for a model of the hub/);
    const cut = join(folder, "cut.onnx");
    writeFileSync(cut, "\x08\x07 some text");
    await expect(inspect(cut)).rejects.toThrow(/is no ONNX model/);
    await expect(inspect(golden("torch-zip/hostile.pt"))).rejects.toThrow(/global "posix\.system"/);
  });
});

describe("a LoRA has a dialect, rank and alpha", () => {
  // Ranks and alphas as reference/lora_golden.py gave them to peft; of rsLoRA (peft), alpha says more than it was given.
  test.each([
    ["kohya.safetensors", "kohya", [4], [2]],
    ["diffusers.safetensors", "diffusers", [2, 3], [4, 5]],
    ["old-diffusers.safetensors", "diffusers before 0.21", [2], [2]],
    ["attention-processors.safetensors", "attention processors", [2], [2]],
    ["peft", "peft", [2, 4], undefined],
  ])("%s", async (name, dialect, ranks, alphas) => {
    const { lora } = (await described(golden(`lora/theirs/${name}`))) as { lora: Record<string, unknown> };
    expect(lora).toMatchObject({ dialect, ranks, ...(alphas && { alphas }) });
    expect(lora.modules).toBeGreaterThan(1);
  });

  test("rank and alpha are what the file says; weights that are no LoRA have none", async () => {
    const ones = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1) });
    const path = join(folder, "lora.safetensors");
    const module = "lora_unet_mid_block_attentions_0_proj_in";
    await writeSafetensorsFile(path, {
      [`${module}.lora_down.weight`]: ones(4, 6),
      [`${module}.lora_up.weight`]: ones(6, 4),
      [`${module}.alpha`]: { shape: [], data: Float32Array.of(2) },
      "lora_unet_other.lora_down.weight": ones(8, 6),
      "lora_unet_other.lora_up.weight": ones(6, 8),
    });
    expect(await described(path)).toMatchObject({
      lora: { dialect: "kohya", modules: 2, ranks: [4, 8], alphas: [2, 8] },
    });
    expect(await described(golden("sharded"))).not.toHaveProperty("lora");
  });
});

describe("folders", () => {
  test("a diffusers folder: class of each part, numbers of those with weights", async () => {
    const json = await described(repository("assets/models/animals-32"));
    expect(json).toMatchObject({
      kind: "diffusers folder",
      architecture: "DiffusionPipeline",
      parts: {
        unet: { kind: "safetensors", architecture: "UNet2DConditionModel" },
        text_encoder: { architecture: "CLIPTextModel" },
        scheduler: { architecture: expect.stringMatching(/Scheduler$/) },
        tokenizer: { architecture: "CLIPTokenizer" },
      },
    });
    const { parts, parameters } = json as { parts: Record<string, { parameters?: number }>; parameters: number };
    expect(parts.unet!.parameters! + parts.text_encoder!.parameters!).toBe(parameters);
    expect(parts).not.toHaveProperty("vae");
  });

  test("a network in shards, with the class of its config.json", async () => {
    expect(await described(golden("sharded"))).toMatchObject({
      kind: "sharded safetensors",
      architecture: "Small",
      tensors: 4,
      parameters: 4 * 4 + 4 + 2 * 4 + 2,
    });
  });

  test("of several precisions the plain one is described and the others are named; without a plain one, the first", async () => {
    expect(await described(golden("sharded"))).toMatchObject({ variants: ["fp16"], dtypes: { F32: 4 } });
    const dir = join(folder, "variants");
    mkdirSync(dir);
    const arrays = { w: { shape: [2], data: Float32Array.of(1, 2) } };
    await writeSafetensorsFile(join(dir, "model.bf16.safetensors"), arrays, {}, "BF16");
    await writeSafetensorsFile(join(dir, "model.fp16.safetensors"), arrays, {}, "F16");
    expect(await described(dir)).toMatchObject({ variants: ["bf16", "fp16"], dtypes: { BF16: 1 } });
  });

  test("a run: what it trains, how far it is, what came out", async () => {
    const run = join(folder, "run");
    mkdirSync(run);
    const config = { model: { kind: "diffusers" }, objective: { kind: "ddpo" }, train: { updates: 12 } };
    writeFileSync(join(run, "config.json"), JSON.stringify(config));
    writeFileSync(join(run, "events.jsonl"), "");
    const unfinished = { kind: "run directory", model: { kind: "diffusers" }, update: 0, updates: 12, running: false };
    expect(await described(run)).toMatchObject(unfinished);
    cpSync(golden("safetensors/float32.safetensors"), join(run, "final.safetensors"));
    expect(await described(run)).toMatchObject({ weights: { tensors: 6, dtypes: { F32: 6 } } });
  });
});

test("without --json it is a list to read, in which a file's texts cannot steer the terminal", async () => {
  const path = join(folder, "steering.safetensors");
  const values = { shape: [1000, 2], data: new Float32Array(2000) };
  await writeSafetensorsFile(path, { a: values }, { "\x1b[2J": "\x1b]0;title\x07\x9b2J", note: "long ".repeat(100) });
  const text = await inspect(path);
  expect(text).toMatch(/: safetensors\n/);
  expect(text).toMatch(/parameters +2,000\n/);
  expect(text).toMatch(/note +long long .{50,110}…\n/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
});
