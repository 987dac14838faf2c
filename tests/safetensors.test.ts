import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { memorySource } from "../src/weights/byte-source.ts";
import { decodeNumbers, encodeNumbers, type NumberFormat } from "../src/weights/number-formats.ts";
import { readSafetensors, writeSafetensors } from "../src/weights/safetensors.ts";
import { openSafetensors, readSafetensorsFile, writeSafetensorsFile } from "../src/weights/safetensors-file.ts";

const golden = (name: string): Uint8Array =>
  readFileSync(new URL(`golden/safetensors/${name}.safetensors`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nablaflow-safetensors-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with this JSON header (a value or a text) and this many bytes of data. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const f32 = (shape: number[], begin: number, end: number): object => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

describe("files of the safetensors package (reference/safetensors_golden.py)", () => {
  const values: Record<string, string[]> = JSON.parse(
    readFileSync(new URL("golden/safetensors/values.json", import.meta.url), "utf8"),
  );
  const numbers = (texts: string[]): Float32Array =>
    Float32Array.from(texts, (text) => Number(text.replace("inf", "Infinity")));

  test("every number format is read", () => {
    const { tensors, metadata } = readSafetensors(golden("formats"), "formats");
    expect(metadata).toEqual({ made_by: "safetensors" });
    expect(Object.keys(tensors)).toHaveLength(15);
    for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
      expect(dtype).toBe(name);
      expect(shape).toEqual([values[name]!.length]);
      expect(data, name).toEqual(numbers(values[name]!));
    }
  });

  test("every value of the one-byte floats is torch's", () => {
    const tables: Record<NumberFormat, string[]> = JSON.parse(
      readFileSync(new URL("golden/safetensors/byte-floats.json", import.meta.url), "utf8"),
    );
    const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
    for (const [dtype, texts] of Object.entries(tables)) {
      expect(decodeNumbers(codes, dtype as NumberFormat, dtype), dtype).toEqual(numbers(texts));
    }
  });

  test("integers are read as int32 when asked so; floats and what does not fit are refused", async () => {
    const file = await openSafetensors(memorySource(golden("formats"), "formats"));
    expect((await file.readIntegers("I32")).data).toEqual(Int32Array.of(0, 1, -1, 2 ** 20, -(2 ** 31)));
    expect((await file.readIntegers("I16")).data).toEqual(Int32Array.of(0, 1, -1, 32767, -32768));
    expect((await file.readIntegers("BOOL")).data).toEqual(Int32Array.of(1, 0, 1));
    await expect(file.readIntegers("I64")).rejects.toThrow(/"I64" holds 1099511627776, which does not fit int32/);
    await expect(file.readIntegers("U32")).rejects.toThrow(/4294967040, which does not fit int32/);
    await expect(file.readIntegers("F16")).rejects.toThrow(/F16 numbers where integers are needed/);
    await expect(file.read("none")).rejects.toThrow(/no tensor "none" among its 15/);
  });

  test("float32 weights are read, and written to the same bytes", () => {
    const { tensors, metadata } = readSafetensors(golden("float32"), "float32");
    expect(metadata).toEqual({ format: "pt" });
    for (const [name, { data }] of Object.entries(tensors)) expect(data).toEqual(numbers(values[`weights/${name}`]!));
    expect(tensors.scale!.shape).toEqual([]);
    expect(tensors.empty!.shape).toEqual([0, 7]);
    expect(writeSafetensors(tensors)).toEqual(new Uint8Array(golden("float32")));
  });

  test("F16 and BF16 are rounded as PyTorch rounds", () => {
    const bytes = golden("rounding");
    const { tensors } = readSafetensors(bytes, "rounding");
    for (const dtype of ["F16", "BF16"] as const) {
      const ours = decodeNumbers(encodeNumbers(tensors.numbers!.data, dtype, "numbers"), dtype, "numbers");
      expect(ours).toEqual(tensors[dtype]!.data);
    }
  });
});

describe("round trips", () => {
  const arrays: fc.Arbitrary<NamedArrays> = fc.dictionary(
    fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
    fc.array(fc.nat(4), { maxLength: 3 }).chain((shape) => {
      const length = shape.reduce((product, axis) => product * axis, 1);
      return fc.float32Array({ minLength: length, maxLength: length }).map((data) => ({ shape, data }));
    }),
  );
  const plain = (tensors: NamedArrays): unknown =>
    Object.entries(tensors)
      .map(([name, { shape, data }]) => ({ name, shape: [...shape], data }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));

  test("what is written is read, whatever the names, shapes, numbers and metadata", () => {
    fc.assert(
      fc.property(arrays, fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
        const content = readSafetensors(writeSafetensors(tensors, metadata), "round trip");
        expect(plain(content.tensors)).toEqual(plain(tensors));
        expect(Object.entries(content.metadata).sort()).toEqual(Object.entries({ format: "pt", ...metadata }).sort());
      }),
    );
  });

  test("the bytes do not depend on the order of the tensors, and the data starts at a multiple of 8", () => {
    fc.assert(
      fc.property(arrays, (tensors) => {
        const bytes = writeSafetensors(tensors);
        expect(writeSafetensors(Object.fromEntries(Object.entries(tensors).reverse()))).toEqual(bytes);
        expect(bytes[0]! % 8).toBe(0);
      }),
    );
  });

  test("every half and every bfloat16 but NaN keeps its bits; NaN stays NaN", () => {
    const codes = Uint16Array.from({ length: 65536 }, (_, code) => code);
    for (const dtype of ["F16", "BF16"] as const) {
      const decoded = decodeNumbers(new Uint8Array(codes.buffer), dtype, "codes");
      const again = new Uint16Array(encodeNumbers(decoded, dtype, "codes").buffer);
      expect(again.every((code, i) => code === codes[i] || Number.isNaN(decoded[i]))).toBe(true);
      expect(decodeNumbers(new Uint8Array(again.buffer), dtype, "codes")).toEqual(decoded);
    }
  });

  test("files: the same bytes as in memory, nothing left beside them", async () => {
    const tensors = readSafetensors(golden("float32"), "float32").tensors;
    const path = join(folder, "weights.safetensors");
    await writeSafetensorsFile(path, {});
    await writeSafetensorsFile(path, tensors, { steps: "600" });
    const bytes = new Uint8Array(readFileSync(path));
    expect(bytes).toEqual(writeSafetensors(tensors, { steps: "600" }));
    expect(await readSafetensorsFile(path)).toEqual(readSafetensors(bytes, path));
    await expect(writeSafetensorsFile(path, tensors, {}, "F16")).rejects.toThrow(/-3\.4.*too large for F16/);
    expect(new Uint8Array(readFileSync(path))).toEqual(bytes);
    expect(readdirSync(folder)).toEqual(["weights.safetensors"]);
  });
});

describe("refusals", () => {
  const twice = `{"a":${JSON.stringify(f32([1], 0, 4))},"\\u0061":${JSON.stringify(f32([1], 4, 8))}}`;
  const huge = new Uint8Array(16);
  new DataView(huge.buffer).setBigUint64(0, 100_000_001n, true);
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /8 bytes of header length; it has 0/],
    ["a header over 100 MB", huge, /at most 100 MB.*100000001/],
    ["a header longer than the file", fileOf({}, 0).slice(0, 9), /end at byte 10, but the file has 9/],
    ["no JSON", fileOf("{", 0), /not valid JSON/],
    ["no UTF-8", Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xff), /UTF-8/],
    ["a list", fileOf([], 0), /JSON object/],
    ["a name twice, once escaped", fileOf(twice, 8), /key "a" twice/],
    [
      "a field twice",
      fileOf('{"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}', 0),
      /"dtype" twice/,
    ],
    ["metadata of numbers", fileOf({ __metadata__: { step: 3 } }, 0), /strings to strings/],
    ["an entry that is no object", fileOf({ a: null }, 0), /"a".*object/],
    ["an unknown dtype", fileOf({ a: { ...f32([1], 0, 4), dtype: "F5" } }, 4), /dtype must be one of F64.*got "F5"/],
    ["a negative size", fileOf({ a: f32([-1], 0, 4) }, 4), /shape.*\[-1\]/],
    ["a broken size", fileOf({ a: f32([0.5, 2], 0, 4) }, 4), /shape/],
    ["a shape beyond all numbers", fileOf({ a: f32([2 ** 53 - 1, 2 ** 53 - 1], 0, 4) }, 4), /product is below 2\^53/],
    ["such a shape of nothing", fileOf({ a: f32([2 ** 53 - 1, 2 ** 53 - 1, 0], 0, 0) }, 0), /product is below 2\^53/],
    ["a shape of 65 axes", fileOf({ a: f32(new Array(65).fill(1), 0, 4) }, 4), /at most 64 integers/],
    ["a shape that is too small", fileOf({ a: f32([2], 0, 12) }, 12), /\[0, 12\].*shape \[2\] in F32; got 8/],
    ["offsets in reverse", fileOf({ a: f32([1], 4, 0) }, 4), /begin <= end/],
    ["one offset", fileOf({ a: { ...f32([1], 0, 4), data_offsets: [0] } }, 4), /begin, end/],
    ["offsets beyond the file", fileOf({ a: f32([2], 0, 8) }, 4), /cut short/],
    ["offsets beyond exact integers", fileOf({ a: f32([1], 2 ** 53, 2 ** 53 + 4) }, 4), /data_offsets/],
    ["an overlap", fileOf({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12), /"b" overlaps.*begin at 8, not 4/],
    ["a gap", fileOf({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /"b" leaves a gap.*begin at 4, not 8/],
    ["bytes of no tensor", fileOf({ a: f32([1], 0, 4) }, 5), /bytes of no tensor/],
    ["lists in lists in lists", fileOf(`{"a":{"dtype":${"[".repeat(50)}${"]".repeat(50)}}}`, 0), /got a list/],
    ["a header of many levels", fileOf(`{"a":{"dtype":${"[".repeat(1e5)}${"]".repeat(1e5)}}}`, 0), /at most 64 levels/],
  ])("%s", (_, bytes, message) => {
    expect(() => readSafetensors(bytes, "w.safetensors")).toThrow(FormatError);
    expect(() => readSafetensors(bytes, "w.safetensors")).toThrow(message);
    expect(() => readSafetensors(bytes, "w.safetensors")).toThrow(/^w\.safetensors: /);
  });

  test("a repeated value, or a repeated key of another object, is no duplicate", () => {
    const metadata = { a: 'dtype":"', b: "dtype", dtype: "\\" };
    expect(readSafetensors(fileOf({ __metadata__: metadata, dtype: f32([1], 0, 4) }, 4), "w").metadata).toEqual(
      metadata,
    );
  });

  test("formats that are known but not read stop only those who ask for them", async () => {
    const bytes = fileOf({ a: f32([1], 0, 4), b: { dtype: "C64", shape: [1], data_offsets: [4, 12] } }, 12);
    const file = await openSafetensors(memorySource(bytes, "w"));
    expect((await file.read("a")).shape).toEqual([1]);
    await expect(file.read("b")).rejects.toThrow(/^w: tensor "b" holds C64 numbers, which are not read/);
    const halfBytes = fileOf({ a: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, 2);
    expect(() => readSafetensors(halfBytes, "w")).toThrow(/data_offsets \[0, 2\] must hold the bytes.*got 1\.5/);
  });

  test("data need not be aligned: other writers put bytes before floats", () => {
    const bytes = fileOf({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1] }, b: f32([1], 1, 5) }, 5);
    bytes.set(new Uint8Array(Float32Array.of(1.5).buffer), bytes.length - 4);
    expect(readSafetensors(bytes, "w").tensors.b!.data).toEqual(Float32Array.of(1.5));
  });

  test("a file is refused as its bytes are", async () => {
    const path = join(folder, "short.safetensors");
    writeFileSync(path, golden("float32").subarray(0, 900));
    await expect(readSafetensorsFile(path)).rejects.toThrow(FormatError);
    await expect(readSafetensorsFile(path)).rejects.toThrow(/short\.safetensors/);
    rmSync(path);
  });

  test("hostile bytes raise FormatError or are read, never anything else", () => {
    const read = (bytes: Uint8Array): void => {
      try {
        readSafetensors(bytes, "hostile");
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), read));
    fc.assert(fc.property(fc.json({ noUnicodeString: false }), fc.nat(20), (json, n) => read(fileOf(json, n))));
    const entry = fc.record(
      {
        dtype: fc.constantFrom("F32", "F16", "I64", "BOOL", "__proto__", 7),
        shape: fc.oneof(fc.array(fc.nat(3), { maxLength: 3 }), fc.jsonValue()),
        data_offsets: fc.oneof(fc.tuple(fc.nat(12), fc.nat(12)), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const header = fc.dictionary(
      fc.constantFrom("a", "b", "__metadata__", "__proto__"),
      fc.oneof(entry, fc.jsonValue()),
    );
    fc.assert(fc.property(header, fc.nat(20), (json, n) => read(fileOf(json, n))));
    // A true file with some bytes changed.
    const changes = fc.array(fc.tuple(fc.nat(959), fc.nat(255)), { minLength: 1, maxLength: 4 });
    const changed = (list: [number, number][]): void => {
      const bytes = new Uint8Array(golden("float32"));
      for (const [at, byte] of list) bytes[at] = byte;
      read(bytes);
    };
    fc.assert(fc.property(changes, changed), { numRuns: 500 });
  });

  test("what cannot be written is refused", () => {
    const one = { shape: [1], data: Float32Array.of(70_000) };
    expect(() => writeSafetensors({ a: { ...one, shape: [2] } })).toThrow(/"a" has shape \[2\] but 1 numbers/);
    expect(() => writeSafetensors({ a: { ...one, shape: [-1, -1] } })).toThrow(FormatError);
    expect(() => writeSafetensors({ __metadata__: one })).toThrow(/__metadata__/);
    expect(() => writeSafetensors({ a: one }, {}, "F16")).toThrow(/"a" holds 70000.*F32/);
    expect(() => writeSafetensors({ a: { shape: [], data: Float32Array.of(3.4e38) } }, {}, "BF16")).toThrow(/BF16/);
    const infinite = { a: { shape: [2], data: Float32Array.of(Number.POSITIVE_INFINITY, 65_504) } };
    expect(readSafetensors(writeSafetensors(infinite, {}, "F16"), "w").tensors.a!.data).toEqual(infinite.a.data);
  });
});
