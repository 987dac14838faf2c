import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import {
  checkTensors,
  findWeights,
  openWeights,
  readDiffusersFolder,
  readWeights,
  withWeights,
  writeDiffusersFolder,
  writeSafetensorsFile,
} from "../src/weights/index.ts";

const sharded = fileURLToPath(new URL("golden/sharded", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nablaflow-weights-"));
afterAll(() => rmSync(folder, { recursive: true }));
const indexName = "diffusion_pytorch_model.safetensors.index.json";

/** A copy of the sharded folder that a test may break. */
function copyOfShards(name: string): string {
  cpSync(sharded, join(folder, name), { recursive: true });
  return join(folder, name);
}

const one = (value: number) => ({ shape: [1], data: Float32Array.of(value) });

describe("shards that diffusers wrote (reference/sharded_golden.py)", () => {
  const values: Record<string, number[]> = JSON.parse(readFileSync(join(sharded, "values.json"), "utf8"));

  test("a folder is read as one file, by its index", async () => {
    const { tensors, metadata } = await readWeights(sharded);
    expect(Object.keys(tensors).sort()).toEqual(Object.keys(values).sort());
    for (const [name, { data }] of Object.entries(tensors)) expect(data).toEqual(Float32Array.from(values[name]!));
    expect(tensors["second.weight"]!.shape).toEqual([2, 4]);
    expect(metadata).toEqual({ format: "pt" });
    expect(await readWeights(join(sharded, indexName))).toEqual({ tensors, metadata });
  });

  test("the variant of half precision is another set of shards with the same numbers, rounded", async () => {
    const { path, variant } = await findWeights(sharded, "fp16");
    expect(variant).toBe("fp16");
    await withWeights(openWeights(path), async (file) => {
      expect(file.source.kind).toBe("sharded safetensors");
      for await (const [name, { dtype, data }] of file) {
        expect(dtype).toBe("F16");
        data.forEach((value, i) => {
          expect(Math.abs(value - values[name]![i]!)).toBeLessThanOrEqual(2 ** -11 * Math.abs(values[name]![i]!));
        });
      }
    });
  });

  test("a shard that is missing, and tensors that are missing or extra, are listed", async () => {
    const missing = copyOfShards("missing");
    rmSync(join(missing, "diffusion_pytorch_model-00002-of-00002.safetensors"));
    await expect(readWeights(missing)).rejects.toThrow(/names files that are not beside it: .*00002-of-00002/);
    const other = copyOfShards("other");
    await writeSafetensorsFile(join(other, "diffusion_pytorch_model-00001-of-00002.safetensors"), { third: one(1) });
    await expect(readWeights(other)).rejects.toThrow(FormatError);
    await expect(readWeights(other)).rejects.toThrow(/missing first\.weight in .*; extra third in .*00001-of-00002/);
  });

  test.each<[string, unknown, RegExp]>([
    ["no weight_map", {}, /weight_map.*nothing/],
    ["a path instead of a name", { weight_map: { a: "../secret.safetensors" } }, /"a" the file "\.\.\/secret/],
    ["an absolute path", { weight_map: { a: "/etc/hostname" } }, /name of a file beside/],
    ["a number", { weight_map: { a: 3 } }, /the file 3/],
  ])("an index with %s is refused", async (_, index, message) => {
    const path = join(folder, "broken.json");
    writeFileSync(path, JSON.stringify(index));
    await expect(readWeights(path)).rejects.toThrow(FormatError);
    await expect(readWeights(path)).rejects.toThrow(message);
  });
});

describe("what a file is, is told from its content", () => {
  test("whatever its name", async () => {
    const path = join(folder, "weights.bin");
    await writeSafetensorsFile(path, { a: one(2) });
    expect((await readWeights(path)).tensors.a!.data).toEqual(Float32Array.of(2));
    cpSync(
      fileURLToPath(new URL("golden/torch-zip/state-dict.pt", import.meta.url)),
      join(folder, "torch.safetensors"),
    );
    expect(Object.keys((await readWeights(join(folder, "torch.safetensors"))).tensors)).toContain("0.weight");
  });

  test.each([
    ["GGUF\x03\0\0\0", /a GGUF file/],
    ["version https://git-lfs.github.com/spec/v1\n", /git lfs pull/],
    ["", /no known format/],
    ["\x89PNG\r\n\x1a\n", /no known format/],
  ])("%j is named", async (start, message) => {
    const path = join(folder, "unknown");
    writeFileSync(path, Buffer.from(start, "latin1"));
    await expect(readWeights(path)).rejects.toThrow(FormatError);
    await expect(readWeights(path)).rejects.toThrow(message);
  });

  test("nothing at a path, and what has no end, is wrong usage", async () => {
    await expect(readWeights(join(folder, "none"))).rejects.toThrow(ConfigError);
    if (process.platform !== "win32") await expect(readWeights("/dev/null")).rejects.toThrow(/is no file/);
  });
});

describe("weights in a folder", () => {
  const withFiles = (name: string, files: string[]): string => {
    const dir = join(folder, name);
    mkdirSync(dir);
    for (const file of files) writeFileSync(join(dir, file), "");
    return dir;
  };

  test("the plain file stands before variants; a variant stands alone or is named", async () => {
    const both = withFiles("both", ["model.safetensors", "model.fp16.safetensors", "config.json"]);
    expect((await findWeights(both)).variant).toBeUndefined();
    expect((await findWeights(both, "fp16")).path).toBe(join(both, "model.fp16.safetensors"));
    expect((await findWeights(both, "bf16")).variant).toBeUndefined();
    expect((await findWeights(withFiles("half", ["model.fp16.safetensors"]))).variant).toBe("fp16");
    const two = withFiles("two", ["model.fp16.safetensors", "model.non_ema.safetensors"]);
    await expect(findWeights(two)).rejects.toThrow(/variants fp16, non_ema: name the one/);
  });

  test("no weights, and weights of two networks, are refused with what is there", async () => {
    await expect(findWeights(withFiles("none", ["model.onnx"]))).rejects.toThrow(/no \*\.safetensors.*model\.onnx/);
    const many = withFiles("many", ["unet.safetensors", "vae.safetensors"]);
    await expect(findWeights(many)).rejects.toThrow(/several networks: unet, vae/);
  });

  test("a diffusers folder takes the variant where a part has it", async () => {
    const dir = join(folder, "diffusers");
    const tokenizer = join(folder, "tokenizer");
    mkdirSync(tokenizer);
    const part = (value: number) => ({ config: {}, weights: { a: one(value) } });
    await writeDiffusersFolder(dir, { unet: part(1), textEncoder: part(2), scheduler: {}, codec: {}, tokenizer });
    await expect(readDiffusersFolder(dir, { variant: "fp16" })).rejects.toThrow(/no weights of the variant "fp16"/);
    await writeSafetensorsFile(join(dir, "unet", "diffusion_pytorch_model.fp16.safetensors"), { a: one(3) }, {}, "F16");
    const read = async (variant?: string) => {
      const { unet, textEncoder } = await readDiffusersFolder(dir, { variant });
      return [unet.weights.a!.data[0], textEncoder.weights.a!.data[0]];
    };
    expect(await read()).toEqual([1, 2]);
    expect(await read("fp16")).toEqual([3, 2]);
  });
});

test("tensors that do not fit are listed: missing, extra, misshapen", () => {
  const expected = { a: { shape: [2, 3] }, b: { shape: [1] }, c: { shape: [] } };
  const found = { a: { shape: [3, 2] }, c: { shape: [] }, constructor: { shape: [1] } };
  expect(() => checkTensors(expected, { ...expected }, "unet")).not.toThrow();
  expect(() => checkTensors(expected, found, "unet")).toThrow(
    /^unet: the weights do not fit: missing b; extra constructor; a is \[3,2\], not \[2,3\]\.$/,
  );
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, k) => [`w${k}`, { shape: [1] }]));
  expect(() => checkTensors(many, {}, "unet")).toThrow(/missing w7 … \(20 in all\)/);
});
