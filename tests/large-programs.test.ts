import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { Rng } from "../src/core/rng.ts";
import { asConstants } from "../src/nn/index.ts";
import { emitOnnx } from "../src/onnx/index.ts";
import { weightFiles } from "../src/onnx/weight-files.ts";
import { referenceRuntime } from "../src/runtime/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { apply, evaluate, gradient, input, operators, type Tensor } from "../src/tensor/index.ts";
import {
  mapWeights,
  readOrMapWeights,
  readWeights,
  type WrittenFormat,
  writeSafetensorsFile,
} from "../src/weights/index.ts";
import { buildHeader } from "../src/weights/safetensors-header.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { transpiled } from "./worlds/child.ts";

const folder = mkdtempSync(join(tmpdir(), "nablaflow-large-"));
const cache = join(folder, "cache");
afterAll(() => rmSync(folder, { recursive: true }), 60_000);

const rng = new Rng(5);
const random = (name: string, shape: readonly number[], low = -1, high = 1) => {
  const size = shape.reduce((n, d) => n * d, 1);
  const sample = [...name].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 1e6, 7);
  const drawn = rng.uniform(size, { purpose: "init", sample });
  return { shape, data: Float32Array.from(drawn, (u) => low + (high - low) * u) };
};

async function saved(name: string, arrays: NamedArrays, dtype: WrittenFormat = "F32"): Promise<string> {
  const path = join(folder, `${name}.safetensors`);
  await writeSafetensorsFile(path, arrays, {}, dtype);
  return path;
}

const layers: NamedArrays = Object.fromEntries(["a", "b", "c"].map((name) => [name, random(name, [48, 48])]));
const network = (params: Readonly<Record<string, Tensor>>) => {
  const x = input("x", [3, 48]);
  const y = ["a", "b", "c"].reduce((h, name) => h.matmul(params[name]!, { transB: true }).mul(0.2).tanh(), x);
  return { y, g: gradient(y.square().sum(), [x])[0]! };
};
const feeds = { x: random("x", [3, 48]).data };

describe("weights that stay in a file", () => {
  test.each(["F32", "F16", "BF16"] as const)("%s: read to the bit as weights in memory are", async (dtype) => {
    const path = await saved(`read-${dtype}`, layers, dtype);
    const [mapped, { tensors }] = [await mapWeights(path, cache), await readWeights(path)];
    expect(Object.keys(mapped)).toEqual(Object.keys(tensors));
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      expect(mapped[name]!.shape).toEqual(shape);
      expect(mapped[name]!.data).toEqual(data);
      expect(Float32Array.from(mapped[name]!.file!)).toEqual(data);
    }
  });

  test("float32 is used where it lies; other formats are converted once, and again when the file has changed", async () => {
    const place = async (path: string) => (await mapWeights(path, cache)).a!.file!.path;
    const floats = await saved("plain", layers);
    symlinkSync(floats, join(folder, "link.safetensors"));
    expect(await place(join(folder, "link.safetensors"))).toBe(floats);

    const halves = await saved("halves", layers, "F16");
    const copy = await place(halves);
    expect(copy.startsWith(cache)).toBe(true);
    const { ino } = statSync(copy);
    expect(await place(halves)).toBe(copy);
    expect(statSync(copy).ino).toBe(ino);
    await saved("halves", { ...layers, d: random("d", [2]) }, "F16");
    expect(await place(halves)).not.toBe(copy);
  });

  test("shards and folders are mapped, too", async () => {
    const shards = join(folder, "shards");
    mkdirSync(shards);
    const names = { a: "m-00001-of-00002.safetensors", b: "m-00002-of-00002.safetensors" };
    for (const [name, file] of Object.entries(names)) {
      await writeSafetensorsFile(join(shards, file), { [name]: layers[name]! });
    }
    writeFileSync(join(shards, "m.safetensors.index.json"), JSON.stringify({ weight_map: names }));
    const mapped = await mapWeights(shards, cache);
    expect(mapped.a!.file!.path).toBe(join(shards, "m-00001-of-00002.safetensors"));
    expect(mapped.b!.data).toEqual(layers.b!.data);
  });

  test("networks of a GiB of float32 stay in their file, smaller ones are read", async () => {
    const path = join(folder, "sparse.safetensors"); // takes no disk: nothing but the header is written
    const shape = [2 ** 14, 2 ** 14];
    const header = buildHeader([{ name: "a", dtype: "F32", shape, bytes: 2 ** 30 }], {});
    writeFileSync(path, header);
    truncateSync(path, header.length + 2 ** 30);
    const { a } = await readOrMapWeights(path);
    expect(a!.file).toMatchObject({ path, offset: header.length, length: 2 ** 28 });
    rmSync(path);
    expect((await readOrMapWeights(await saved("small", layers))).a!.file).toBeUndefined();
  });

  test("programs give the same bits as with weights in memory, and the float64 reference reads them", async () => {
    const mapped = network(asConstants(await mapWeights(await saved("same", layers), cache)));
    const held = network(asConstants(layers));
    const oneMatrix = 4 * 48 * 48;
    expect(emitOnnx(mapped).bytes.length).toBeLessThan(oneMatrix);
    expect(emitOnnx(held).bytes.length).toBeGreaterThan(3 * oneMatrix);
    const results = [];
    for (const outputs of [mapped, held]) {
      for (const runtime of [nodeRuntime({ threads: 1 }), referenceRuntime()]) {
        const program = await runtime.compile(outputs);
        results.push({ ...(await program.run(feeds)) });
        await program.release();
      }
    }
    expect(results[0]).toEqual(results[2]);
    expect(results[1]).toEqual(results[3]);
    expect(relativeError(results[0]!.g!, results[1]!.g!)).toBeLessThan(tolerances.float32);
  });

  test.each(["conv2d", "conv2dInput", "conv2dWeight", "matmul", "groupNorm"])("%s takes them", async (name) => {
    const samples = operators()
      .find((op) => op.name === name)!
      .samples();
    const at = (k: number, i: number) => `${k}.${i}`;
    const values = Object.fromEntries(
      samples.flatMap(({ inputs }, k) =>
        inputs.map(({ shape, low, high }, i) => [at(k, i), random(at(k, i), shape, low, high)] as const),
      ),
    );
    const weights = asConstants(await mapWeights(await saved(name, values), cache));
    const outputs = Object.fromEntries(
      samples.map(({ inputs, attrs }, k) => {
        const operands = inputs.map(({ shape }, i) => (i === 0 ? input(at(k, 0), shape) : weights[at(k, i)]!));
        return [`y${k}`, apply(name, operands, attrs)];
      }),
    );
    const fed = Object.fromEntries(samples.map((_, k) => [at(k, 0), values[at(k, 0)]!.data]));
    const program = await nodeRuntime({ threads: 1 }).compile(outputs);
    const got = await program.run(fed);
    for (const [k, want] of evaluate(Object.values(outputs), fed).entries()) {
      expect(relativeError(got[`y${k}`]!, want)).toBeLessThan(tolerances.float32);
    }
    await program.release();
  });
});

describe("files that fail are refused", () => {
  test("one that is cut short, when it is opened and when it is compiled with later", async () => {
    const path = await saved("cut", layers);
    const mapped = await mapWeights(path, cache);
    truncateSync(path, statSync(path).size - 4);
    await expect(mapWeights(path, cache)).rejects.toThrow(FormatError);
    expect(() => mapped.c!.data).toThrow("the file became shorter");
    await expect(nodeRuntime().compile(network(asConstants(mapped)))).rejects.toThrow(
      /cut\.safetensors: the weights of this program end at byte \d+, but the file has \d+/,
    );
    rmSync(path);
    await expect(nodeRuntime().compile(network(asConstants(mapped)))).rejects.toThrow("cannot be read (ENOENT)");
  });

  test("a copy in the cache that is cut short", async () => {
    const path = await saved("cut-copy", layers, "F16");
    const copy = (await mapWeights(path, cache)).a!.file!.path;
    truncateSync(copy, statSync(copy).size - 4);
    await expect(mapWeights(path, cache)).rejects.toThrow(/cut short/);
  });

  test("files on two drives have no folder in common", () => {
    const region = (path: string) => ({
      path,
      offset: 8,
      length: 2,
      read: () => new Float32Array(2),
      *[Symbol.iterator]() {},
    });
    expect(weightFiles([region("/a/b/w"), region("/a/c/d/w"), region("/a/b/w")])).toEqual({
      folder: "/a/",
      sizes: { "/a/b/w": 16, "/a/c/d/w": 16 },
    });
    expect(weightFiles([region("C:\\a\\w"), region("C:\\b\\w")])!.folder).toBe("C:/");
    expect(() => weightFiles([region("C:\\a\\w"), region("D:\\a\\w")])).toThrow("have no folder in common");
  });
});

describe.runIf(process.platform === "linux")("memory of a process", () => {
  let code = "";
  beforeAll(() => {
    code = transpiled(join(folder, "code"));
  }, 180_000);
  /** Runs a call of tests/worlds/memory.ts in a process of its own. */
  function measured<T>(call: string): T {
    const program = join(code, "memory.js");
    writeFileSync(
      program,
      `import * as m from "./tests/worlds/memory.js"; console.log(JSON.stringify(await m.${call}));`,
    );
    return JSON.parse(execFileSync(process.execPath, ["--expose-gc", program], { encoding: "utf8" }));
  }

  test("two programs share one file of weights: neither holds a copy", async () => {
    const side = 2048;
    const megabytes = 16; // of one matrix
    const values = random("large", [side, side], -0.02, 0.02);
    const path = await saved("large", Object.fromEntries(["a", "b", "c", "d"].map((name) => [name, values])));
    type Memory = { resident: number; proportional: number; anonymous: number };
    const { before, one, two } = measured<Record<"before" | "one" | "two", Memory>>(
      `twoPrograms(${JSON.stringify(path)}, ${JSON.stringify(cache)})`,
    );
    expect(one.proportional - before.proportional).toBeGreaterThan(0.9 * 4 * megabytes); // it did read them
    expect(one.anonymous - before.anonymous).toBeLessThan(megabytes);
    expect(two.anonymous - one.anonymous).toBeLessThan(megabytes);
    expect(two.proportional - one.proportional).toBeLessThan(megabytes);
  }, 180_000);

  const [early, late] = [50, 200];
  const largestGrowth = 16; // MB; measured 2; 150 programs that stay hold 180
  test.each([
    ["released", "(program) => program.release()"],
    ["dropped without release", "() => {}"],
  ])(
    "stays flat when programs are %s and rebuilt",
    (_, end) => {
      const [before, after] = measured<number[]>(`rebuilds([${early}, ${late}], ${end})`);
      expect(after! - before!).toBeLessThan(largestGrowth);
    },
    120_000,
  );

  test("grows when programs are kept: what the test before would see", () => {
    const [before, after] = measured<number[]>(
      "rebuilds([5, 45], (program) => (globalThis.kept ??= []).push(program))",
    );
    expect(after! - before!).toBeGreaterThan(largestGrowth);
  }, 180_000);
});
