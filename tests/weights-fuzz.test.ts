import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ByteSource, memorySource } from "../src/weights/byte-source.ts";
import { openSafetensors } from "../src/weights/safetensors-file.ts";
import { openTorchZip } from "../src/weights/torch-zip.ts";
import type { WeightsFile } from "../src/weights/weights-file.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { buildZip, type ZipPart, zipParts } from "./worlds/zip.ts";

// Whatever stands in a file, reading it ends in weights or in a FormatError: no other error, no hang, and no memory beyond
// a fixed multiple of the file. Short here; NABLA_FUZZ_RUNS=100000 (or more) makes the runs of each test that many.

const short = 4000;
const timeout = fuzzTimeout(short);

const golden = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(`golden/${path}`, import.meta.url)));
const torchFiles = ["state-dict", "formats", "views", "nested", "wrapped", "protocol-4", "hostile", "whole-module"].map(
  (name) => golden(`torch-zip/${name}.pt`),
);
const safetensorsFiles = ["float32", "formats"].map((name) => golden(`safetensors/${name}.safetensors`));

type Open = (bytes: ByteSource) => Promise<WeightsFile>;

/** Opens and reads everything; says whether that went well. Fails for any error but FormatError. */
async function survives(open: Open, bytes: Uint8Array): Promise<boolean> {
  let handles = 0;
  const memory = memorySource(bytes, "fuzz");
  const guarded: ByteSource = {
    ...memory,
    read(begin, end) {
      // The reader may ask only for what is there: a copy is never larger than the file.
      if (!(begin >= 0 && begin <= end && end <= bytes.length))
        throw new Error(`read ${begin} to ${end} of ${bytes.length}`);
      return memory.read(begin, end);
    },
    close: async () => {
      handles--;
    },
  };
  handles++;
  const well = await reads(
    async () => {
      const file = await open(guarded);
      try {
        let values = 0;
        for (const name of file.tensors.keys()) values += (await file.read(name)).data.length;
        // Byte floats take 4 times their bytes as float32, storages are read over at most 16 times.
        expect(values * 4).toBeLessThanOrEqual(4 * 16 * bytes.length);
      } finally {
        await file.close();
      }
    },
    { naming: "fuzz" },
  );
  expect(handles).toBe(0);
  return well;
}

/** Runs a property; `least` is the share of inputs that must still be read. */
const run = <T>(arbitrary: fc.Arbitrary<T>, read: (value: T) => Promise<boolean>, least = 0) =>
  fuzz(arbitrary, read, { short, least });

describe("safetensors", () => {
  test(
    "files with changed bytes",
    () =>
      run(
        fc.tuple(fc.constantFrom(...safetensorsFiles), mutations),
        ([file, changes]) => survives(openSafetensors, changes.reduce(mutated, file)),
        0.02,
      ),
    timeout,
  );

  const count = fc.oneof(fc.nat(4), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e308, null));
  const entry = fc.record({
    dtype: fc.constantFrom("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E8M0", "I64", "BOOL", "C64", "F4", "F5", 7),
    shape: fc.oneof(
      { weight: 4, arbitrary: fc.array(count, { maxLength: 4 }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    data_offsets: fc.oneof(
      { weight: 4, arbitrary: fc.tuple(fc.nat(16), fc.nat(16)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]) },
      { weight: 1, arbitrary: fc.array(count, { maxLength: 3 }) },
    ),
  });
  const names = fc.constantFrom("a", "b", "c", "__metadata__", "__proto__", "constructor");

  test(
    "headers of any structure",
    () =>
      run(fc.tuple(fc.array(fc.tuple(names, entry), { maxLength: 4 }), fc.nat(32)), ([entries, dataBytes]) => {
        // Joined by hand, so that names can stand twice.
        const json = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
        const header = new TextEncoder().encode(`{${json}}`);
        const bytes = new Uint8Array(8 + header.length + dataBytes);
        new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
        bytes.set(header, 8);
        return survives(openSafetensors, bytes);
      }),
    timeout,
  );
});

describe("torch zip", () => {
  test(
    "files with changed bytes",
    () =>
      run(
        fc.tuple(fc.constantFrom(...torchFiles), mutations),
        ([file, changes]) => survives(openTorchZip, changes.reduce(mutated, file)),
        0.02,
      ),
    timeout,
  );

  const archives = torchFiles.map(zipParts);
  const archiveOf = (pickle: Uint8Array): ZipPart[] => [
    { name: "a/data.pkl", bytes: pickle },
    { name: "a/data/0", bytes: new Uint8Array(16) },
  ];
  const isPickle = (part: ZipPart) => part.name.endsWith("/data.pkl");

  test(
    "whole archives around a changed pickle",
    () =>
      run(
        fc.tuple(fc.constantFrom(...archives), mutations),
        ([parts, changes]) =>
          survives(
            openTorchZip,
            buildZip(
              parts.map((part) => (isPickle(part) ? { ...part, bytes: changes.reduce(mutated, part.bytes) } : part)),
            ),
          ),
        0.005,
      ),
    timeout,
  );

  // Pieces of programs: what torch writes, in any order.
  const text = (value: string) => [0x8c, value.length, ...new TextEncoder().encode(value)];
  const line = (value: string) => [...new TextEncoder().encode(value)];
  const storage = [
    ...[0x28, ...text("storage")],
    ...line("ctorch\nFloatStorage\n"),
    ...[...text("0"), ...text("cpu"), 0x4b, 4, 0x74, 0x51],
  ];
  const tensor = [
    ...line("ctorch._utils\n_rebuild_tensor_v2\n("),
    ...storage,
    0x4b,
    0,
    0x4b,
    4,
    0x85,
    0x4b,
    1,
    0x85,
    0x89,
    0x7d,
    0x74,
    0x52,
  ];
  const piece = fc.oneof(
    fc.constantFrom(
      storage,
      tensor,
      [...text("x"), ...tensor, 0x73],
      [0x7d, ...text("x"), ...tensor, 0x73],
      line("ccollections\nOrderedDict\n)R"),
      line("ctorch._utils\n_rebuild_tensor_v2\n"),
      line("ctorch._utils\n_rebuild_tensor_v3\n"),
      line("ctorch._utils\n_rebuild_parameter\n"),
      line("ctorch.storage\nUntypedStorage\n"),
      line("ctorch\nuint16\n"),
      line("cos\nsystem\n"),
      text("state_dict"),
      text("x"),
    ),
    fc.constantFrom(...[..."(N])}aest0buQRq\x85\x86\x87\x88\x89\x94\x93."].map((code) => [code.charCodeAt(0)])),
    fc.tuple(fc.constantFrom(0x4b, 0x71, 0x68, 0x80), fc.nat(6)),
    fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => [0x4a, ...bytes]),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => [0x8a, bytes.length, ...bytes]),
  );

  const value = fc.constantFrom(
    tensor,
    [0x4e],
    [0x88],
    [0x4b, 7],
    [0x5d],
    [0x29],
    [0x7d, ...text("y"), ...tensor, 0x73],
  );
  const entry = fc
    .tuple(fc.constantFrom(..."abcdefghij", "state_dict"), value)
    .map(([key, of]) => [...text(key), ...of, 0x73]);

  test(
    "programs of any pieces",
    () =>
      run(
        fc.tuple(
          fc.array(entry, { maxLength: 3 }),
          fc.array(piece, { maxLength: 20 }),
          fc.array(entry, { maxLength: 3 }),
        ),
        ([before, pieces, after]) => {
          const program = [0x7d, ...[...before, ...pieces, ...after].flat(), 0x2e];
          return survives(openTorchZip, buildZip(archiveOf(Uint8Array.from(program))));
        },
        0.01,
      ),
    timeout,
  );

  const name = fc.oneof(
    fc.constantFrom(
      "a/data.pkl",
      "a/data/0",
      "a/data/1",
      "a/byteorder",
      "b/data.pkl",
      "../x",
      "/x",
      "a//b",
      "a/./b",
      "a\\b",
      "",
    ),
    fc.string({ maxLength: 12 }),
  );
  const part: fc.Arbitrary<ZipPart> = fc.record(
    {
      name,
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.constant(Uint8Array.from([0x7d, ...text("x"), ...tensor, 0x73, 0x2e])),
      ),
      localName: name,
      statedBytes: fc.oneof(fc.nat(60), fc.constantFrom(0xfffffffe, 0xffffffff)),
      flags: fc.constantFrom(0, 0, 0, 1, 8, 0x808),
    },
    { requiredKeys: ["name", "bytes"] },
  );

  test(
    "archives of any structure",
    () =>
      run(
        fc.tuple(
          fc.array(part, { maxLength: 4 }),
          fc.boolean(),
          fc.option(fc.nat(0xffff), { nil: undefined, freq: 5 }),
        ),
        ([parts, isWhole, count]) => {
          const whole = isWhole ? archiveOf(Uint8Array.from([0x7d, ...text("x"), ...tensor, 0x73, 0x2e])) : [];
          return survives(openTorchZip, buildZip([...whole, ...parts], count === undefined ? {} : { count }));
        },
        0.01,
      ),
    timeout,
  );
});
