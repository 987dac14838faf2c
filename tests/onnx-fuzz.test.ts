import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  TensorProto_DataLocation as Location,
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
} from "onnx-buf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { openOnnxFile } from "../src/models/onnx-file.ts";
import { domains } from "../src/onnx/import/operators/index.ts";
import { importOnnx, readOnnx } from "../src/onnx/index.ts";
import { evaluate, input } from "../src/tensor/index.ts";
import { fuzz, fuzzRuns, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutation } from "./worlds/mutated-bytes.ts";
import { type Attribute, floatInput, floatTensor, intTensor, modelBytes, node, wave } from "./worlds/onnx-model.ts";

// Whatever stands in a file, reading and translating it ends in a graph or in a FormatError: no other error, no hang, no
// memory that the file does not account for. NABLA_FUZZ_RUNS=100000 (or more) makes the runs of each property that many.

const short = 1500;
const runs = fuzzRuns(short);
const timeout = 2 * fuzzTimeout(short);

/** Reads and translates; says whether that went well. Fails for any error but FormatError. */
async function survives(bytes: Uint8Array, x = input("x", [1, 4, 6, 6])): Promise<boolean> {
  try {
    const model = await readOnnx(bytes, { name: "fuzz" });
    // Inputs that the mutation renamed or reshaped are the caller's to give: taken away here.
    if (
      model.inputs.some(
        ({ name, shape, dtype }) => name !== "x" || dtype !== "float32" || shape?.join() !== x.shape.join(),
      )
    )
      return false;
    importOnnx(model, { x });
    return true;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return false;
  }
}

const x = floatInput("x", [1, 4, 6, 6]);
const small = modelBytes({
  opset: 13,
  inputs: [x],
  initializers: [
    floatTensor("w", wave([4, 4, 3, 3]), [4, 4, 3, 3]),
    intTensor("shape", [0, -1]),
    floatTensor("head", wave([36, 2]), [36, 2]),
    intTensor("to", [1]),
    intTensor("from", [0]),
  ],
  nodes: [
    node("Conv", ["x", "w"], ["c"], { strides: [2, 2], pads: [1, 1, 1, 1] }),
    node("Clip", ["c"], ["k"]),
    node("MaxPool", ["k"], ["m"], { kernel_shape: [2, 2], strides: [1, 1], ceil_mode: 1, auto_pad: "SAME_UPPER" }),
    node("Reshape", ["m", "shape"], ["r"]),
    node("MatMul", ["r", "head"], ["y"]),
    node("Shape", ["m"], ["s"]),
    node("Slice", ["s", "from", "to"], ["t"]),
    node("Softmax", ["y"], ["p"], { axis: 1 }),
    node("Expand", ["p", "t"], ["z"]),
  ],
  outputs: ["y", "z"],
});

describe("bytes", () => {
  test(
    "random ones, and every beginning of a file",
    async () => {
      const random = fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        expect(await survives(bytes)).toBe(false);
      });
      await fc.assert(random, { numRuns: runs });
      for (let length = 0; length < small.length; length += 7)
        expect(await survives(small.subarray(0, length)), `${length} bytes`).toBe(false);
      expect(await survives(small)).toBe(true);
    },
    timeout,
  );

  test(
    "files with changed bytes",
    async () => {
      let well = 0;
      const property = fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (changes) => {
        if (await survives(changes.reduce(mutated, small))) well++;
      });
      await fc.assert(property, { numRuns: runs });
      expect(well).toBeGreaterThan(0.02 * runs); // so the fuzzing goes deep
    },
    timeout,
  );

  test("a small file of very many empty parts is refused before they become objects", async () => {
    const nodes = 9_000_000;
    const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
    const head = [0x3a, ...varint(2 * nodes)]; // ModelProto.graph
    const bytes = new Uint8Array(head.length + 2 * nodes);
    bytes.set(head);
    for (let k = head.length; k < bytes.length; k += 2) bytes[k] = 0x0a; // GraphProto.node of no bytes
    await expect(readOnnx(bytes, { name: "bomb.onnx" })).rejects.toThrow(/bomb.onnx.*at most 8000000 parts/);
  });
});

const number = fc.oneof(fc.integer({ min: -3, max: 7 }), fc.constantFrom(2 ** 31, -(2 ** 31), 2 ** 40, 2 ** 53 - 1));
const attribute: fc.Arbitrary<Attribute> = fc.oneof(
  { weight: 4, arbitrary: number },
  { weight: 4, arbitrary: fc.array(number, { maxLength: 6 }) },
  fc.float().map((float) => ({ float })),
  fc.array(fc.float(), { maxLength: 3 }).map((floats) => ({ floats })),
  fc.constantFrom("reflect", "edge", "SAME_UPPER", "linear", "cubic", "CRD", "ij,jk->ik", "a,a->", "é->", "tanh", ""),
  fc.constant({ tensor: intTensor("", [3]) }),
);
const attributeNames = fc.constantFrom(
  ...["axis", "axes", "pads", "strides", "dilations", "kernel_shape", "group", "auto_pad", "ceil_mode", "to", "perm"],
  ...["split", "num_outputs", "mode", "blocksize", "equation", "value", "value_ints", "start", "end", "starts", "ends"],
  ...["output_shape", "output_padding", "num_groups", "keepdims", "alpha", "transA", "antialias", "epsilon", "upper"],
  ...["coordinate_transformation_mode", "nearest_mode", "exclusive", "approximate", "largest", "noop_with_empty_axes"],
);
const stored = [
  floatTensor("f", [0.5, -1, 2, 3]),
  floatTensor("m", wave([6, 6]), [6, 6]),
  floatTensor("k", wave([4, 4, 3, 3]), [4, 4, 3, 3]),
  floatTensor("scalar", [2], []),
  floatTensor("scales", [1, 1, 2, 0.5]),
  intTensor("zero", [0], []),
  intTensor("i", [1, 2]),
  intTensor("sizes", [1, 4, 3, 2]),
  intTensor("pads", [0, 0, 1, -1, 0, 0, 2, 1]),
  intTensor("empty", [], [0]),
  intTensor("big", [2147483647, -2147483648]),
  intTensor("end", [9223372036854775807n]),
];
const operand = fc.oneof(
  { weight: 3, arbitrary: fc.constant("x") },
  fc.constantFrom(...stored.map(({ name }) => name), "", "a"),
);
const anyNode = fc.record({
  op: fc.constantFrom(
    ...Object.entries(domains).flatMap(([domain, set]) => Object.keys(set).map((op) => ({ op, domain }))),
  ),
  operands: fc.array(operand, { maxLength: 5 }),
  attributes: fc.dictionary(attributeNames, attribute, { maxKeys: 4 }),
  outputs: fc.integer({ min: 1, max: 3 }),
});

describe("graphs", () => {
  test(
    "any operator with any operands and attributes is a graph of whole shapes, or refused",
    async () => {
      let well = 0;
      const property = fc.asyncProperty(
        anyNode,
        anyNode,
        fc.integer({ min: 9, max: 23 }),
        async (first, second, opset) => {
          const made = (n: typeof first, names: readonly string[]) =>
            node(n.op.op, n.operands, names.slice(0, n.outputs), n.attributes, n.op.domain);
          const first1 = { ...first, operands: first.operands.map((name) => (name === "a" ? "x" : name)) };
          const bytes = modelBytes({
            opset,
            microsoft: true,
            inputs: [x],
            initializers: stored,
            nodes: [made(first1, ["a", "a1", "a2"]), made(second, ["y", "y1", "y2"])],
            outputs: ["y", "a"],
          });
          if (await survives(bytes)) well++;
        },
      );
      await fc.assert(property, { numRuns: 4 * runs });
      expect(well).toBeGreaterThan(0.01 * runs);
    },
    timeout,
  );

  const refused = (bytes: Uint8Array) =>
    expect(readOnnx(bytes, { name: "bad.onnx" }).then((m) => importOnnx(m, { x: input("x", [1, 4, 6, 6]) }))).rejects;
  const graph = (
    nodes: Parameters<typeof modelBytes>[0]["nodes"],
    more: Partial<Parameters<typeof modelBytes>[0]> = {},
  ) => modelBytes({ opset: 17, inputs: [x], nodes, outputs: ["y"], ...more });
  const tampered = (change: (model: ModelProto) => void) => {
    const model = fromBinary(ModelProtoSchema, small);
    change(model);
    return toBinary(ModelProtoSchema, model);
  };

  test("cycles, missing and doubled names", async () => {
    await refused(
      graph([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]),
    ).toThrow(/node 0 \(Add, "Add of a"\) uses "b" before it is made: out of order, or a cycle/);
    await refused(graph([node("Relu", ["y"], ["y"])])).toThrow(/uses "y" before it is made/);
    await refused(graph([node("Relu", ["nowhere"], ["y"])])).toThrow(/uses "nowhere", which nothing makes/);
    await refused(graph([node("Relu", ["x"], ["z"])])).toThrow(/gives out "y", which nothing makes/);
    await refused(graph([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])])).toThrow(/"y" has two/);
    await refused(graph([node("Relu", ["x"], ["x"])])).toThrow(/"x" has two/);
    await refused(graph([node("Relu", ["x"], ["y"])], { inputs: [x, x] })).toThrow(/"x" is an input twice/);
    const twice = [floatTensor("w", [1]), floatTensor("w", [2])];
    await refused(graph([node("Mul", ["x", "w"], ["y"])], { initializers: twice })).toThrow(/"w" has two/);
  });

  test("opsets and operator sets that are not known", async () => {
    await refused(graph([node("Relu", ["x"], ["y"])], { opset: 8 })).toThrow(
      /opsets 9 to 23 are read, but this model has 8/,
    );
    await refused(graph([node("Relu", ["x"], ["y"])], { opset: 24 })).toThrow(FormatError);
    await refused(graph([node("Relu", ["x"], ["y"], {}, "my.domain")])).toThrow(
      /my.domain of no version.*does not state/,
    );
    await refused(graph([node("constructor", ["x"], ["y"])])).toThrow(/no translation/);
  });

  test("sizes beyond all memory", async () => {
    const tile = [intTensor("t", [1, 1, 100000, 100000])];
    await refused(graph([node("Tile", ["x", "t"], ["y"])], { initializers: tile })).toThrow(
      /at most 268435456 numbers/,
    );
    const pads = { kernel_shape: [1, 1], pads: [0, 0, 2 ** 31 - 1, 2 ** 31 - 1], strides: [2 ** 31 - 1, 2 ** 31 - 1] };
    await refused(
      graph([node("Conv", ["x", "w"], ["y"], pads)], { initializers: [floatTensor("w", [1, 2, 3, 4], [1, 4, 1, 1])] }),
    ).toThrow(/at most 268435456 numbers/);
    await refused(
      graph([node("Range", ["a", "b", "c"], ["y"])], {
        initializers: [intTensor("a", [0], []), intTensor("b", [2 ** 31 - 1], []), intTensor("c", [1], [])],
      }),
    ).toThrow(/a range has at most/);
    await refused(
      tampered(({ graph }) => {
        graph!.initializer[0]!.dims = [2n ** 40n, 2n ** 40n];
      }),
    ).toThrow(/tensor "w": .*product below 2\^53/);
    await refused(
      tampered(({ graph }) => {
        graph!.initializer[0]!.dims = [4n, 4n, 3n, 300000n];
      }),
    ).toThrow(/takes 57600000 bytes, but there are 576/);
    await refused(
      tampered(({ graph }) => {
        graph!.initializer[0]!.dims = [-4n, 4n, -3n, 3n];
      }),
    ).toThrow(/sizes of 0 or more/);
  });
});

test("numbers of every type, raw and in typed fields", async () => {
  const half = [0x3c00, 0xc100, 0x0001, 0x7bff]; // 1, −2.5, 2⁻²⁴, 65504
  const tensors = {
    float: { dataType: 1, floatData: [1, -2.5, 0.25, 4] },
    double: { dataType: 11, doubleData: [1, -2.5, 0.25, 4] },
    half: { dataType: 10, int32Data: half },
    rawHalf: { dataType: 10, rawData: new Uint8Array(Uint16Array.from(half).buffer) },
    bfloat: { dataType: 16, rawData: new Uint8Array(Uint16Array.of(0x3f80, 0xc020, 0x3e80, 0x4080).buffer) },
    bool: { dataType: 9, rawData: Uint8Array.of(0, 1, 1, 0) },
    int64: { dataType: 7, int64Data: [1n, -2n, 3n, 2n ** 63n - 1n] },
    int32: { dataType: 6, int32Data: [1, -2, 3, 4] },
    uint8: { dataType: 2, rawData: Uint8Array.of(1, 2, 3, 255) },
    int8: { dataType: 3, rawData: Uint8Array.of(1, 2, 3, 255) },
    uint16: { dataType: 4, rawData: new Uint8Array(Uint16Array.of(1, 2, 3, 65535).buffer) },
    uint64: { dataType: 13, uint64Data: [1n, 2n, 3n, 4n] },
  };
  const initializers = Object.entries(tensors).map(([name, fields]) =>
    create(TensorProtoSchema, { name, dims: [4n], ...fields }),
  );
  const model = await readOnnx(
    modelBytes({ opset: 17, inputs: [], initializers, nodes: [], outputs: Object.keys(tensors) }),
    { name: "types.onnx" },
  );
  const ys = importOnnx(model, {});
  const got = Object.fromEntries(Object.entries(ys).map(([name, y]) => [name, [y.dtype, ...evaluate([y])[0]!]]));
  expect(got).toEqual({
    float: ["float32", 1, -2.5, 0.25, 4],
    double: ["float32", 1, -2.5, 0.25, 4],
    half: ["float32", 1, -2.5, 2 ** -24, 65504],
    rawHalf: ["float32", 1, -2.5, 2 ** -24, 65504],
    bfloat: ["float32", 1, -2.5, 0.25, 4],
    bool: ["float32", 0, 1, 1, 0],
    int64: ["int32", 1, -2, 3, 2 ** 31 - 1],
    int32: ["int32", 1, -2, 3, 4],
    uint8: ["int32", 1, 2, 3, 255],
    int8: ["int32", 1, 2, 3, -1],
    uint16: ["int32", 1, 2, 3, 65535],
    uint64: ["int32", 1, 2, 3, 4],
  });
  const bad = (fields: object) =>
    expect(
      readOnnx(
        modelBytes({
          opset: 17,
          inputs: [],
          nodes: [],
          outputs: ["w"],
          initializers: [create(TensorProtoSchema, { name: "w", dims: [1n], ...fields })],
        }),
        { name: "bad.onnx" },
      ),
    ).rejects;
  await bad({ dataType: 7, int64Data: [2n ** 40n] }).toThrow(/32 bits, but 1099511627776 needs more/);
  await bad({ dataType: 8, stringData: [Uint8Array.of(1)] }).toThrow(/holds STRING/);
  await bad({ dataType: 1, floatData: [1, 2] }).toThrow(/holds 1 numbers, but there are 2/);
  await bad({ dataType: 1, rawData: Uint8Array.of(1, 2, 3) }).toThrow(/takes 4 bytes, but there are 3/);
});

describe("external data", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "nablaflow-external-"));
    mkdirSync(join(folder, "model", "parts"), { recursive: true });
    writeFileSync(join(folder, "secret"), new Uint8Array(16));
    writeFileSync(join(folder, "model", "weights.bin"), new Uint8Array(Float32Array.of(9, 1, 2, 3, 4).buffer));
    writeFileSync(join(folder, "model", "parts", "w"), new Uint8Array(Float32Array.of(5, 6, 7, 8).buffer));
    symlinkSync(join(folder, "secret"), join(folder, "model", "link"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const withExternal = (entries: Readonly<Record<string, string>>) =>
    modelBytes({
      opset: 17,
      inputs: [],
      nodes: [],
      outputs: ["w"],
      initializers: [
        create(TensorProtoSchema, {
          name: "w",
          dataType: 1,
          dims: [4n],
          dataLocation: Location.EXTERNAL,
          externalData: Object.entries(entries).map(([key, value]) =>
            create(StringStringEntryProtoSchema, { key, value }),
          ),
        }),
      ],
    });
  const opened = (entries: Readonly<Record<string, string>>) => {
    const path = join(folder, "model", "m.onnx");
    writeFileSync(path, withExternal(entries));
    return openOnnxFile(path);
  };

  test("is read from files below the model's folder", async () => {
    const at = await opened({ location: "weights.bin", offset: "4", length: "16" });
    expect([...at.constants.get("w")!.data!]).toEqual([1, 2, 3, 4]);
    const whole = await opened({ location: "parts/w" });
    expect([...whole.constants.get("w")!.data!]).toEqual([5, 6, 7, 8]);
  });

  const text = fc.constantFrom(
    ...[
      "weights.bin",
      "parts/w",
      "link",
      "parts",
      "none",
      "",
      "../secret",
      "/etc/passwd",
      "parts/../w",
      "a\0b",
      "m.onnx",
    ],
    ...["0", "4", "8", "16", "20", "-1", "1e3", "0x10", " 4", "9007199254740993", "18446744073709551616", "NaN"],
  );
  const stated = fc.dictionary(fc.constantFrom("location", "offset", "length", "checksum", "__proto__"), text, {
    noNullPrototype: true,
  });
  test(
    "of any place is 16 bytes of a file of the folder, or refused",
    () =>
      fuzz(
        fc.tuple(fc.boolean(), stated),
        ([named, entries]) =>
          reads(
            async () => {
              const model = await opened(named ? { location: "weights.bin", ...entries } : entries);
              expect(model.constants.get("w")!.data!.length).toBe(4);
            },
            { naming: folder, errors: [FormatError, ConfigError] }, // ConfigError: a folder in place of a file
          ),
        { short },
      ),
    timeout,
  );

  test("is refused anywhere else, also through a link, and for bytes alone", async () => {
    const out = [
      "../secret",
      "/etc/passwd",
      "parts/../../secret",
      "C:\\secret",
      "..\\secret",
      "./weights.bin",
      "",
      "a//b",
      "x\0y",
    ];
    for (const location of out) {
      await expect(opened({ location, length: "16" }), location).rejects.toThrow(FormatError);
      await expect(opened({ location, length: "16" }), location).rejects.toThrow(/below the model's folder/);
    }
    await expect(opened({ location: "link", length: "16" })).rejects.toThrow(/link leads out of it/);
    await expect(opened({ location: "none" })).rejects.toThrow(/cannot be read \(ENOENT\)/);
    await expect(opened({ location: "weights.bin", offset: "8", length: "16" })).rejects.toThrow(
      /needs bytes 8 to 24 .* has 20/,
    );
    await expect(opened({ location: "weights.bin", offset: "-4" })).rejects.toThrow(/number of bytes, but is "-4"/);
    await expect(opened({ location: "weights.bin" })).rejects.toThrow(/takes 16 bytes, but there are 20/);
    await expect(opened({ location: "parts" })).rejects.toThrow(/no file/);
    await expect(readOnnx(withExternal({ location: "weights.bin" }), { name: "m" })).rejects.toThrow(
      /Open the model by its path/,
    );
  });
});
