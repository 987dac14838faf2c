import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { parseUNetConfig, unet } from "../src/models/unet.ts";
import { asInputs } from "../src/nn/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { input } from "../src/tensor/index.ts";
import { compareLoras, type Lora, loraDelta, loraFormats, readLora, writeLora } from "../src/weights/lora/index.ts";
import { readSafetensorsFile } from "../src/weights/safetensors-file.ts";
import { relativeError } from "./tolerances.ts";
import { randomLora, type Shape } from "./worlds/lora.ts";

// reference/lora_golden.py: diffusers and peft wrote theirs/, loaded ours/, and computed values.safetensors.
const golden = (path: string) => fileURLToPath(new URL(`golden/${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nablaflow-lora-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { tensors: base } = await readSafetensorsFile(golden("unet/mixed.weights.safetensors"));

/** Rank and alpha differ between modules, and alpha from rank; linear, 1×1 and 3×3 modules. */
function ours(): Lora {
  const shapes: Record<string, Shape> = {};
  for (const [name, { shape: weight }] of Object.entries(base)) {
    const module = name.replace(/\.weight$/, "");
    if (/\.(to_[qkv]|to_out\.0)$/.test(module)) shapes[`unet.${module}`] = { rank: 2, alpha: 3, weight };
    if (/\.conv2$/.test(module)) shapes[`unet.${module}`] = { rank: 3, alpha: 1.5, weight };
    if (/\.proj_out$/.test(module)) shapes[`unet.${module}`] = { rank: 1, alpha: 3, weight };
  }
  return randomLora(shapes, 7);
}

const filesIn = (dir: string) => readdirSync(dir).sort();

test.each(loraFormats)("our %s writer makes the bytes that were loaded", async (format) => {
  const written = join(folder, format);
  await writeLora(written, ours(), format);
  if (process.env.UPDATE_GOLDEN) cpSync(written, golden(`lora/ours/${format}`), { recursive: true });
  expect(filesIn(written)).toEqual(filesIn(golden(`lora/ours/${format}`)));
  for (const file of filesIn(written)) {
    expect(readFileSync(join(written, file)).equals(readFileSync(golden(`lora/ours/${format}/${file}`))), file).toBe(
      true,
    );
  }
});

test("a kohya file of FLUX, with fused matrices, adds what diffusers' converter makes of it (reference/lora_flux_golden.py)", async () => {
  const [kohya, diffusers] = [
    await readLora(golden("lora/flux/kohya.safetensors")),
    await readLora(golden("lora/flux/diffusers.safetensors")),
  ];
  expect(Object.keys(kohya).sort()).toEqual(Object.keys(diffusers).sort());
  expect(Object.keys(kohya)).toHaveLength(30);
  for (const { module, difference } of compareLoras(kohya, diffusers)) expect(difference, module).toBeLessThan(1e-6);
  const sparse = kohya["transformer.transformer_blocks.18.attn.add_k_proj"]!;
  expect([sparse.rank, sparse.alpha]).toEqual([2, Math.fround(4 / 3)]); // block-diagonal: rows of A of its own
});

describe.skipIf(process.env.UPDATE_GOLDEN)("the network computes what diffusers and peft compute with a LoRA", () => {
  let outputWith: (lora: Lora) => Promise<Float32Array>;
  let values: NamedArrays;
  let release: () => Promise<void>;
  beforeAll(async () => {
    values = (await readSafetensorsFile(golden("lora/values.safetensors"))).tensors;
    const inputs = (await readSafetensorsFile(golden("unet/mixed.values.safetensors"))).tensors;
    const config = parseUNetConfig(JSON.parse(readFileSync(golden("unet/mixed.config.json"), "utf8")));
    const [x, t, text] = ["x", "t", "text"].map((name) => input(name, inputs[name]!.shape));
    const out = unet(asInputs(base, "w."), config, x!, t!, text!);
    const program = await nodeRuntime({ threads: 1 }).compile({ out });
    release = () => program.release();
    outputWith = async (lora) => {
      const weights = Object.entries(base).map(([name, { data }]) => {
        const module = lora[`unet.${name.replace(/\.weight$/, "")}`];
        const delta = name.endsWith(".weight") && module && loraDelta(module).data;
        return [`w.${name}`, delta ? data.map((value, k) => value + delta[k]!) : data];
      });
      const [x, t, text] = ["x", "t", "text"].map((name) => inputs[name]!.data);
      const { out } = await program.run({ ...Object.fromEntries(weights), x, t, text });
      return out as Float32Array;
    };
  });
  afterAll(() => release?.());

  test.each([
    ["diffusers", "theirs/diffusers.safetensors"],
    ["peft", "theirs/peft"],
    ["old-diffusers", "theirs/old-diffusers.safetensors"],
    ["attention-processors", "theirs/attention-processors.safetensors"],
    ["kohya", "theirs/kohya.safetensors"],
    ["ours-diffusers", "ours/diffusers"],
    ["ours-peft", "ours/peft"],
    ["ours-kohya", "ours/kohya"],
  ])("%s", async (name, path) => {
    const modules = Object.keys(base).map((key) => `unet.${key.replace(/\.weight$/, "")}`);
    const blind = await readLora(golden(`lora/${path}`));
    expect(await readLora(golden(`lora/${path}`), { modules })).toEqual(blind);
    expect(relativeError(await outputWith(blind), values[name]!.data)).toBeLessThan(1e-5);
  });

  // A number of A and one of B are each rounded by at most 2^-11 (F16) or 2^-8 (BF16) of their size.
  test.each(
    loraFormats.flatMap((format) =>
      [["F16", 2e-3] as const, ["BF16", 2e-2] as const].map((of) => [format, ...of] as const),
    ),
  )("%s written as %s", async (format, dtype, tolerance) => {
    const written = join(folder, `${format}-${dtype}`);
    await writeLora(written, ours(), format, { dtype });
    expect(relativeError(await outputWith(await readLora(written)), values[`ours-${format}`]!.data)).toBeLessThan(
      tolerance,
    );
  });
});
