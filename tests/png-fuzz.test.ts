import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import { decodePng, encodePng, insertPngText, readPngText } from "../src/images/index.ts";
import { readPngChunks, writePngChunk } from "../src/images/png-chunks.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";

// Whatever stands in a PNG, its texts and pixels are read or refused with FormatError, with bounded memory. See fuzz.ts.

const short = 4000;
const timeout = fuzzTimeout(short);

const picture = await encodePng({
  width: 3,
  height: 2,
  channels: 3,
  data: Uint8Array.from({ length: 18 }, (_, k) => 13 * k),
});
const labelled = insertPngText(picture, {
  parameters: "a cat\nSteps: 50, Seed: 1",
  reward: '{"style": 0.5}',
  prompt: "ein Fuchs im Grünen 🦊",
});
const text = (value: string) => new TextEncoder().encode(value);
const international = (packed: Uint8Array) => Uint8Array.from([...text("workflow"), 0, 1, 0, 0, 0, ...packed]);
const compressed = withChunks([{ type: "iTXt", body: international(deflateSync("{}")) }]);

/** The picture with more chunks before its end, with true checksums. */
function withChunks(more: readonly { type: string; body: Uint8Array }[], first = readPngChunks(labelled)): Uint8Array {
  const parts = [...first.slice(0, -1), ...more, first.at(-1)!].map(({ type, body }) => writePngChunk(type, body));
  return Uint8Array.from([...labelled.subarray(0, 8), ...parts.flatMap((part) => [...part])]);
}

const readsText = (bytes: Uint8Array) =>
  reads(() => {
    for (const [keyword, value] of readPngText(bytes)) expect(typeof keyword + typeof value).toBe("stringstring");
  });

describe("PNG", () => {
  test(
    "with changed bytes",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(labelled, compressed), mutations),
        ([file, changes]) => readsText(changes.reduce(mutated, file)),
        { short },
      ),
    timeout,
  );

  const chunks = readPngChunks(compressed);
  test(
    "with changed chunks of true checksums",
    () =>
      fuzz(
        fc.tuple(fc.nat(), mutations),
        ([at, changes]) => {
          const target = 1 + (at % (chunks.length - 2));
          const changed = chunks.map((chunk, k) =>
            k === target ? { ...chunk, body: changes.reduce(mutated, chunk.body) } : chunk,
          );
          return readsText(withChunks([], changed));
        },
        { short, least: 0.3 },
      ),
    timeout,
  );

  const body = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => international(deflateSync(bytes))),
    fc.array(fc.constantFrom(0, 1, 65, 0xc3, 0xa9), { maxLength: 12 }).map((codes) => Uint8Array.from(codes)),
  );
  const chunk = fc.record({ type: fc.constantFrom("tEXt", "iTXt", "zTXt", "IHDR", "IEND", "pHYs"), body });
  test(
    "of any chunks",
    () => fuzz(fc.array(chunk, { maxLength: 4 }), (more) => readsText(withChunks(more)), { short, least: 0.1 }),
    timeout,
  );

  test(
    "pixels of changed data are a picture of the stated size, or refused",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(0, 1), mutations),
        ([target, changes]) => {
          const k = target === 0 ? 0 : chunks.findIndex(({ type }) => type === "IDAT");
          const kept = target === 0 ? 8 : 0; // width and height: pictures of many megapixels are slow
          const changed = chunks.map((one, at) => {
            if (at !== k) return one;
            const rest = changes.reduce(mutated, one.body.subarray(kept));
            return { ...one, body: Uint8Array.from([...one.body.subarray(0, kept), ...rest]) };
          });
          return reads(async () => {
            const { width, height, channels, data } = await decodePng(withChunks([], changed));
            expect(data.length).toBe(width * height * channels);
          });
        },
        { short: 500 },
      ),
    timeout,
  );

  test("small texts that unpack to much, together or alone, and a picture of gigabytes", async () => {
    const bomb = { type: "iTXt", body: international(deflateSync(new Uint8Array(9 * 2 ** 20).fill(65))) };
    expect(readPngText(withChunks([bomb])).get("workflow")!.length).toBe(9 * 2 ** 20);
    expect(() => readPngText(withChunks([bomb, bomb]))).toThrow(FormatError);
    const header = Uint8Array.from(chunks[0]!.body);
    new DataView(header.buffer).setUint32(0, 60_000);
    new DataView(header.buffer).setUint32(4, 60_000);
    await expect(decodePng(withChunks([], [{ ...chunks[0]!, body: header }, ...chunks.slice(1)]))).rejects.toThrow(
      /pixel limit/,
    );
  });
});
