import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../src/weights/byte-source.ts";
import { describeWeights } from "../src/weights/describe.ts";
import { describeLora } from "../src/weights/lora/describe.ts";
import { type Lora, loraOf, readLora } from "../src/weights/lora/index.ts";
import { openSafetensors } from "../src/weights/safetensors-file.ts";
import { buildHeader } from "../src/weights/safetensors-header.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever stands in a LoRA of any dialect, the end is modules of finite numbers whose shapes fit, or FormatError. See fuzz.ts.

const short = 2000;
const timeout = fuzzTimeout(short);
const golden = (path: string) => fileURLToPath(new URL(`golden/lora/${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nablaflow-lora-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The first two modules of a golden file: a small file that differs from it in nothing else. */
async function excerpt(name: string): Promise<Uint8Array> {
  const file = await openSafetensors(memorySource(new Uint8Array(readFileSync(golden(name))), name));
  const module = (key: string) => key.replace(/[._](lora_[A-Z]|lora|lora_(down|up))\..*$|\.alpha$/, "");
  const kept = new Set([...file.tensors.keys()].map(module).slice(0, 4));
  const names = [...file.tensors.keys()].filter((key) => kept.has(module(key))).slice(0, 8);
  const parts = await Promise.all(names.map((key) => file.source.bytes(key)));
  const entries = names.map((key, k) => ({ name: key, ...file.tensors.get(key)!, bytes: parts[k]!.length }));
  return Uint8Array.from(Buffer.concat([buildHeader(entries, file.metadata), ...parts]));
}

/** A small file of FLUX: q, k and v in one. */
function fluxFile(): Uint8Array {
  const shapes = { down: [3, 2], up: [9, 3] };
  const entries = [
    "double_blocks_0_img_attn_qkv",
    "double_blocks_0_img_mlp_2",
    "final_layer_adaLN_modulation_1",
  ].flatMap((name) => [
    { name: `lora_unet_${name}.lora_down.weight`, shape: shapes.down },
    { name: `lora_unet_${name}.lora_up.weight`, shape: name.startsWith("final") ? [4, 3] : shapes.up },
    { name: `lora_unet_${name}.alpha`, shape: [] },
  ]);
  const tensors = entries.map(({ name, shape }) => {
    return { name, shape, dtype: "F32" as const, bytes: 4 * shape.reduce((n, side) => n * side, 1) };
  });
  const data = Float32Array.from({ length: tensors.reduce((n, { bytes }) => n + bytes, 0) / 4 }, (_, k) => k % 7);
  return Uint8Array.from(Buffer.concat([buildHeader(tensors, {}), new Uint8Array(data.buffer)]));
}

const names = ["diffusers", "old-diffusers", "attention-processors", "kohya"].map(
  (name) => `theirs/${name}.safetensors`,
);
const ours = ["ours/diffusers/pytorch_lora_weights.safetensors", "ours/kohya/lora.safetensors"];
const files = [...(await Promise.all([...names, ...ours].map(excerpt))), fluxFile()];

function checkModules(lora: Lora): void {
  const modules = Object.entries(lora);
  expect(modules.length).toBeGreaterThan(0);
  for (const [name, { down, up, alpha, rank }] of modules) {
    expect(name).toMatch(/^(unet|transformer|text_encoder(_[23])?)\./);
    expect([down.shape[0], up.shape[1], Number.isFinite(alpha)]).toEqual([rank, rank, true]);
    expect(down.data.length * up.data.length).toBeLessThanOrEqual(rank * rank * 2 ** 28);
  }
}

/** Reads a file in memory as a LoRA. */
const survives = (bytes: Uint8Array) =>
  reads(
    async () => {
      const file = await openSafetensors(memorySource(bytes, "fuzz"));
      // A peft file is described with the configuration beside it: see the folder below.
      if (![...file.tensors.keys()].some((name) => name.startsWith("base_model."))) await describeLora(file);
      checkModules(loraOf(await file.readAll(), "fuzz"));
    },
    { naming: "fuzz" },
  );

/** A file with another header before the same numbers. */
function withHeader(file: Uint8Array, json: string): Uint8Array {
  const header = new TextEncoder().encode(json);
  const dataStart = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const bytes = new Uint8Array(8 + header.length + file.length - dataStart);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  bytes.set(file.subarray(dataStart), 8 + header.length);
  return bytes;
}
const headerOf = (file: Uint8Array): string =>
  new TextDecoder().decode(
    file.subarray(8, 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))),
  );

describe("LoRA files", () => {
  test(
    "with changed bytes",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...files), mutations),
        ([file, changes]) => survives(changes.reduce(mutated, file)),
        { short, least: 0.02 },
      ),
    timeout,
  );

  const headers = files.map((file) => ({ file, header: headerOf(file) }));
  test(
    "with a header of changed structure",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...headers), jsonMutations),
        ([{ file, header }, changes]) => survives(withHeader(file, mutatedJson(header, changes))),
        { short },
      ),
    timeout,
  );

  const metadata = JSON.parse(headers[0]!.header).__metadata__.lora_adapter_metadata as string;
  test(
    "with changed adapter metadata",
    () =>
      fuzz(
        jsonMutations,
        (changes) => {
          const { __metadata__, ...tensors } = JSON.parse(headers[0]!.header);
          const text = mutatedJson(metadata, changes);
          const header = { __metadata__: { ...__metadata__, lora_adapter_metadata: text }, ...tensors };
          return survives(withHeader(headers[0]!.file, JSON.stringify(header)));
        },
        { short, least: 0.05 },
      ),
    timeout,
  );

  const step = fc.constantFrom(
    ...["unet", "transformer", "text_encoder", "base_model.model", "down_blocks", "0", "attn1", "processor", "to_q"],
    ...["to_out", "to_q_lora", "self_attn", "lora", "lora_A", "lora_B", "default", "weight", "down", "up", "alpha"],
    ...["lora_unet_down_blocks_0_attentions_0_proj_in", "lora_te_x", "lora_unet_input_blocks_4_1_proj_in", "lora_down"],
    ...[
      "lora_unet_middle_block_1_proj_in",
      "lora_unet_double_blocks_0_img_attn_qkv",
      "lora_te3_x",
      "lora_up",
      "dora_scale",
      "__proto__",
      "constructor",
    ],
  );
  const pairs = fc.constantFrom(["lora_A.weight", "lora_B.weight"], ["lora.down.weight", "lora.up.weight"]);
  const dots = fc.array(step, { minLength: 1, maxLength: 4 }).map((steps) => steps.join("."));
  const shape = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom([2, 3], [3, 2], [2, 3, 1, 1], [2, 2], [3, 3], [2, 3, 3, 3], []) },
    fc.array(fc.nat(4), { maxLength: 5 }),
  );
  test(
    "of any names and shapes",
    () =>
      fuzz(
        fc.array(fc.tuple(dots, pairs, shape, shape, fc.boolean()), { minLength: 1, maxLength: 3 }),
        (modules) => {
          const entries = modules.flatMap(([name, [down, up], a, b, hasAlpha]) => [
            { name: `${name}.${down}`, shape: a },
            { name: `${name}.${up}`, shape: b },
            ...(hasAlpha ? [{ name: `${name}.alpha`, shape: [] }] : []),
          ]);
          const tensors = entries.map(({ name, shape }) => {
            return { name, shape, dtype: "F32" as const, bytes: 4 * shape.reduce((n, side) => n * side, 1) };
          });
          const header = buildHeader(tensors, {});
          const bytes = new Uint8Array(header.length + tensors.reduce((n, { bytes }) => n + bytes, 0));
          bytes.set(header);
          return survives(bytes);
        },
        { short, least: 0.005 },
      ),
    timeout,
  );
});

test(
  "a peft folder with a changed configuration",
  async () => {
    const peft = join(folder, "peft");
    cpSync(golden("theirs/peft"), peft, { recursive: true });
    writeFileSync(join(peft, "adapter_model.safetensors"), await excerpt("theirs/peft/adapter_model.safetensors"));
    const config = readFileSync(join(peft, "adapter_config.json"), "utf8");
    const text = fc.oneof(
      { weight: 3, arbitrary: jsonMutations.map((changes) => mutatedJson(config, changes)) },
      mutations.map((changes) => changes.reduce(mutated, new TextEncoder().encode(config))),
    );
    await fuzz(
      text,
      (changed) => {
        writeFileSync(join(peft, "adapter_config.json"), changed);
        return reads(
          async () => {
            checkModules(await readLora(peft));
            await describeWeights(peft);
          },
          { naming: peft },
        );
      },
      { short: 1000, least: 0.05 },
    );
  },
  timeout,
);
