import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import { memorySource } from "../src/weights/byte-source.ts";
import { readWeights } from "../src/weights/open-weights.ts";
import { openTorchZip } from "../src/weights/torch-zip.ts";
import { withWeights } from "../src/weights/weights-file.ts";
import { buildZip, type ZipPart, zipParts } from "./worlds/zip.ts";

const path = (name: string): URL => new URL(`golden/torch-zip/${name}`, import.meta.url);
const golden = (name: string): Uint8Array => readFileSync(path(name));
const open = (bytes: Uint8Array, name = "w.pt") => openTorchZip(memorySource(bytes, name));
const readAll = (bytes: Uint8Array) => withWeights(open(bytes), (file) => file.readAll());

describe("files of torch.save (reference/torch_zip_golden.py)", () => {
  interface Expected {
    dtype: string;
    shape: number[];
    values: string[];
  }
  const files: Record<string, Record<string, Expected>> = JSON.parse(readFileSync(path("values.json"), "utf8"));
  const float32 = (texts: string[]) => Float32Array.from(texts, Number);

  test.each(Object.keys(files))("%s: names, shapes and values are torch's", async (name) => {
    const { tensors } = await readAll(golden(name));
    expect(Object.keys(tensors)).toEqual(Object.keys(files[name]!));
    for (const [key, { shape, values }] of Object.entries(files[name]!)) {
      expect(tensors[key]!.shape, key).toEqual(shape);
      expect(tensors[key]!.data, key).toEqual(float32(values));
    }
  });

  test("formats keep their names", async () => {
    const { tensors } = await open(golden("formats.pt"));
    const dtypes = Object.fromEntries([...tensors].map(([name, { dtype }]) => [name, dtype]));
    expect(dtypes).toEqual({
      double: "F64",
      float: "F32",
      half: "F16",
      bfloat16: "BF16",
      long: "I64",
      int: "I32",
      short: "I16",
      char: "I8",
      byte: "U8",
      bool: "BOOL",
      float8_e4m3fn: "F8_E4M3",
      float8_e5m2: "F8_E5M2",
      uint16: "U16",
    });
  });

  test("a state dict inside another dict is found; plain values beside it are metadata", async () => {
    expect((await open(golden("wrapped.pt"))).metadata).toEqual({ epoch: "3" });
    expect((await open(golden("nested.pt"))).metadata).toEqual({ step: "12", name: "small", large: String(2n ** 70n) });
  });

  test("integers of a view are read exactly", async () => {
    const file = await open(golden("views.pt"));
    expect((await file.readIntegers("repeated")).data).toEqual(Int32Array.of(2, 3, 4));
  });

  test("tensors are read one by one: only the bytes from a view's first number to its last", async () => {
    const bytes = golden("views.pt");
    const source = memorySource(bytes, "views.pt");
    const reads: number[] = [];
    const file = await openTorchZip({
      ...source,
      read(begin, end) {
        reads.push(end - begin);
        return source.read(begin, end);
      },
    });
    reads.length = 0;
    await file.read("rows"); // rows 2 and 3 of [6, 5]
    await file.read("every-second-column"); // from (0, 1) to (5, 3)
    expect(reads).toEqual([4 * 10, 4 * 28]);
  });
});

describe("refusals", () => {
  test("a pickle that would run a command is refused by name, and nothing runs", async () => {
    await expect(open(golden("hostile.pt"), "hostile.pt")).rejects.toThrow(
      /^hostile\.pt: .*names the global "posix\.system".*state_dict\(\)/,
    );
    await expect(open(golden("hostile.pt"))).rejects.toThrow(FormatError);
    expect(existsSync("nablaflow-executed")).toBe(false);
  });

  test.each([
    ["whole-module.pt", /global "torch\.nn\.modules\.linear\.Linear"/],
    ["deflated.pt", /is compressed \(method 8\)/],
    ["expanded.pt", /more values than its storage \(1\): call \.contiguous\(\)/],
  ])("%s", async (name, message) => {
    await expect(open(golden(name))).rejects.toThrow(FormatError);
    await expect(open(golden(name))).rejects.toThrow(message);
  });

  test("a file of the old format is told from others", async () => {
    await expect(readWeights(path("legacy.pt").pathname)).rejects.toThrow(/old format of torch\.save/);
  });

  test("complex numbers stop only those who read them", async () => {
    const file = await open(golden("complex.pt"));
    expect(file.tensors.get("weight")).toMatchObject({ dtype: "C64", shape: [2] });
    await expect(file.read("weight")).rejects.toThrow(/"weight" holds C64/);
  });

  const parts = zipParts(golden("state-dict.pt"));
  const broken = (change: (part: ZipPart) => Partial<ZipPart>): Uint8Array =>
    buildZip(parts.map((part) => ({ ...part, ...change(part) })));
  const isEnd = (part: ZipPart, end: string) => part.name.endsWith(end);

  test("an archive built anew is read; the broken ones differ from it in one thing", async () => {
    expect(await readAll(buildZip(parts))).toEqual(await readAll(golden("state-dict.pt")));
  });

  test.each<[string, Uint8Array, RegExp]>([
    [
      "a path out of the archive",
      broken((p) => (isEnd(p, "data/0") ? { name: "../data/0" } : {})),
      /"\.\.\/data\/0" is no relative path/,
    ],
    [
      "an absolute path",
      broken((p) => (isEnd(p, "data/0") ? { name: "/data/0" } : {})),
      /"\/data\/0" is no relative path/,
    ],
    ["a name twice", buildZip([...parts, parts[0]!]), /two entries/],
    [
      "another name in the local header",
      broken((p) => (isEnd(p, "data/0") ? { localName: "x".repeat(p.name.length) } : {})),
      /calls itself "xxx/,
    ],
    ["an entry beyond the file", broken((p) => (isEnd(p, "data/0") ? { statedBytes: 1e6 } : {})), /outside the file/],
    [
      "overlapping entries",
      broken((p) => (isEnd(p, "data/0") ? { statedBytes: p.bytes.length + 200 } : {})),
      /overlaps/,
    ],
    ["an encrypted entry", broken((p) => (isEnd(p, "data/0") ? { flags: 1 } : {})), /is encrypted/],
    [
      "big-endian numbers",
      broken((p) => (isEnd(p, "byteorder") ? { bytes: new TextEncoder().encode("big") } : {})),
      /byteorder is "big"/,
    ],
    ["no pickle", buildZip(parts.filter((p) => !isEnd(p, "data.pkl"))), /not one that torch\.save wrote/],
    [
      "a missing storage",
      buildZip(parts.filter((p) => !isEnd(p, "data/0"))),
      /needs the storage "0" of 432 bytes.*no such entry/,
    ],
    [
      "a short storage",
      broken((p) => (isEnd(p, "data/0") ? { bytes: p.bytes.subarray(4) } : {})),
      /432 bytes, but the archive has 428 bytes/,
    ],
    ["a directory that counts wrong", buildZip(parts, { count: 3 }), /should have 3 entries/],
    ["a cut file", golden("state-dict.pt").subarray(0, 2000), /directory is missing/],
  ])("%s", async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(FormatError);
    await expect(open(bytes)).rejects.toThrow(message);
  });

  /** An archive with this pickle and one storage of 16 bytes under the key "0". */
  const withPickle = (program: (string | number)[]): Uint8Array =>
    buildZip([
      { name: "a/data.pkl", bytes: pickled(program) },
      { name: "a/data/0", bytes: new Uint8Array(16) },
    ]);
  /** Texts stand for their own bytes. */
  const pickled = (program: (string | number)[]): Uint8Array =>
    Uint8Array.from(
      program.flatMap((item) => (typeof item === "number" ? [item] : [...new TextEncoder().encode(item)])),
    );
  const text = (value: string) => ["\x8c".charCodeAt(0), value.length, value];
  // ctorch._utils _rebuild_tensor_v2 ( (storage FloatStorage "0" "cpu" 4) persid, offset, size, stride, False, {} ) R
  const tensor = (offset: number, size: number, stride: number, key = "0") => [
    "ctorch._utils\n_rebuild_tensor_v2\n((",
    ...text("storage"),
    "ctorch\nFloatStorage\n",
    ...text(key),
    ...text("cpu"),
    "K",
    4,
    "tQK",
    offset,
    "K",
    size,
    0x85,
    "K",
    stride,
    0x85,
    0x89,
    "}tR",
  ];
  const dictOf = (...entries: (string | number)[][]) => ["}(", ...entries.flat(), "u."];

  test("the hand-written pickle is read", async () => {
    const file = await open(withPickle(dictOf([...text("x"), ...tensor(1, 3, 1)])));
    expect([...file.tensors.keys()]).toEqual(["x"]);
  });

  test.each<[string, (string | number)[], RegExp]>([
    ["a view past its storage", dictOf([...text("x"), ...tensor(2, 3, 1)]), /lie in its storage of 4 numbers; got 2/],
    ["strides past the storage", dictOf([...text("x"), ...tensor(0, 3, 2)]), /lie in its storage/],
    ["an unknown key", dictOf([...text("x"), ...tensor(0, 4, 1, "9")]), /storage "9" of 16 bytes.*no such entry/],
    ["a key that leads out", dictOf([...text("x"), ...tensor(0, 4, 1, "../x")]), /no such entry/],
    ["a key twice", dictOf([...text("x"), "N", ...text("x"), "N"]), /key "x" twice/],
    [
      "one name by two ways",
      dictOf([...text("a"), "}", ...text("b"), ...tensor(0, 4, 1), "s", ...text("a.b"), ...tensor(0, 4, 1)]),
      /two tensors have the name "a\.b"/,
    ],
    ["no tensors", dictOf([...text("x"), "N"]), /no tensors/],
    ["no dict", [...tensor(0, 4, 1), "."], /a state dict is needed/],
    ["an instruction that builds objects", ["cbuiltins\neval\n", "."], /global "builtins\.eval"/],
    ["the same by the stack", [0x80, 4, ...text("os"), ...text("system"), 0x93, "."], /global "os\.system"/],
    ["an instruction that is not known", ["(cx\n", "."], /cut short/],
    ["INST", ["(ios\nsystem\n."], /instruction 0x69/],
    ["a call of a class", ["ctorch\nFloatStorage\n)R."], /calls what is no function/],
    ["an empty stack", ["R."], /empty stack/],
    ["a mark too few", ["t."], /mark is missing/],
    ["a value it did not store", ["h", 7, "."], /did not store/],
    ["a future protocol", [0x80, 6, "N."], /protocol is 6/],
    ["bytes after the end", ["}.}"], /bytes follow/],
    ["no end", ["}"], /cut short/],
    ["a text longer than the file", ["X", 255, 255, 255, 255, "."], /cut short/],
    ["a list as a key", ["}]Ns."], /neither text nor number/],
  ])("%s", async (_, program, message) => {
    await expect(open(withPickle(program))).rejects.toThrow(FormatError);
    await expect(open(withPickle(program))).rejects.toThrow(message);
  });

  test("a dict inside itself, and dicts that double their tensors at every level, are refused", async () => {
    const itself = ["}q", 0, ...text("x"), "h", 0, "s."];
    await expect(open(withPickle(itself))).rejects.toThrow(/nested too deeply/);
    // {"x": [d0, d1, …]} where d0 has a tensor and every later dict has the one before it twice.
    const doubling: (string | number)[] = ["}", ...text("x"), "]}", ...text("t"), ...tensor(0, 4, 1), "sq", 0, "a"];
    for (let level = 1; level < 40; level++) {
      doubling.push("}(", ...text("a"), "h", level - 1, ...text("b"), "h", level - 1, "uq", level, "a");
    }
    await expect(open(withPickle([...doubling, "s."]))).rejects.toThrow(/too many places/);
    const shared = Array.from({ length: 60 }, (_, k) => [...text(`t${k}`), ...tensor(0, 4, 1)]);
    await expect(open(withPickle(dictOf(...shared)))).rejects.toThrow(/960 bytes, more than 16 times the 16 bytes/);
  });
});

const aesthetic = resolve("../shared/data/aesthetic/sac+logos+ava1-l14-linearMSE.pth");
test.skipIf(!existsSync(aesthetic))(
  existsSync(aesthetic)
    ? "the published aesthetic predictor is read"
    : "the published aesthetic predictor is read (skipped: its file is not here; it is not ours to ship)",
  async () => {
    const { tensors } = await readWeights(aesthetic);
    const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
    const sizes = { 0: [1024, 768], 2: [128, 1024], 4: [64, 128], 6: [16, 64], 7: [1, 16] };
    for (const [layer, shape] of Object.entries(sizes)) {
      expect(shapes[`layers.${layer}.weight`]).toEqual(shape);
      expect(shapes[`layers.${layer}.bias`]).toEqual([shape[0]]);
    }
    expect(Object.keys(shapes)).toHaveLength(10);
    expect(Object.values(tensors).every(({ data }) => data.every(Number.isFinite))).toBe(true);
  },
);
