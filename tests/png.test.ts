import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ConfigError, FormatError, ShapeError } from "../src/core/errors.ts";
import {
  contactSheet,
  decodePng,
  encodePng,
  insertPngText,
  type RasterImage,
  readPngText,
} from "../src/images/index.ts";
import { crc32, readPngChunks, writePngChunk } from "../src/images/png-chunks.ts";

const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

function picture(channels: RasterImage["channels"], width = 5, height = 3): RasterImage {
  const data = Uint8Array.from({ length: width * height * channels }, (_, at) => (at * 37 + 11) % 256);
  return { width, height, channels, data };
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

test("CRC-32 gives the check value of its standard and the CRC of IEND", () => {
  expect(crc32(ascii("123456789"))).toBe(0xcbf43926);
  expect([...writePngChunk("IEND", new Uint8Array(0))]).toEqual([0, 0, 0, 0, 73, 69, 78, 68, 0xae, 0x42, 0x60, 0x82]);
});

describe("pixels", () => {
  test.each([3, 4] as const)("a picture of %i channels survives encoding and decoding", async (channels) => {
    expect(await decodePng(await encodePng(picture(channels)))).toEqual(picture(channels));
  });

  // colour type: 0 grey, 2 RGB, 3 palette, 4 grey + alpha; each row starts with filter 0
  test.each([
    { what: "8-bit RGB", depth: 8, type: 2, row: [0, 10, 20, 30, 250, 240, 230], pixels: [10, 20, 30, 250, 240, 230] },
    { what: "8-bit grey", depth: 8, type: 0, row: [0, 10, 250], pixels: [10, 10, 10, 250, 250, 250] },
    { what: "grey + alpha", depth: 8, type: 4, row: [0, 10, 255, 250, 7], pixels: [10, 10, 10, 255, 250, 250, 250, 7] },
    { what: "palette", depth: 8, type: 3, row: [0, 1, 0], pixels: [4, 5, 6, 1, 2, 3] },
    {
      what: "16-bit RGB",
      depth: 16,
      type: 2,
      row: [0, 10, 10, 20, 20, 30, 30, 250, 250, 240, 240, 230, 230],
      pixels: [10, 20, 30, 250, 240, 230],
    },
  ])("a $what PNG put together by hand decodes to its pixels", async ({ depth, type, row, pixels }) => {
    const png = join(
      SIGNATURE,
      writePngChunk("IHDR", Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 1, depth, type, 0, 0, 0)), // 2×1
      type === 3 ? writePngChunk("PLTE", Uint8Array.of(1, 2, 3, 4, 5, 6)) : new Uint8Array(0),
      writePngChunk("IDAT", deflateSync(Uint8Array.from(row))),
      writePngChunk("IEND", new Uint8Array(0)),
    );
    const image = await decodePng(png);
    expect(image).toEqual({ width: 2, height: 1, channels: pixels.length / 2, data: Uint8Array.from(pixels) });
  });

  test("pixels that do not fill the picture are refused", async () => {
    await expect(encodePng({ ...picture(3), width: 6 })).rejects.toThrow(ShapeError);
  });

  test("every cut of a PNG is refused", async () => {
    const png = await encodePng(picture(3));
    for (let length = 0; length < png.length; length++) {
      await expect(decodePng(png.subarray(0, length))).rejects.toThrow(FormatError);
    }
  });

  test("every changed byte of a PNG is noticed", async () => {
    const png = await encodePng(picture(3));
    for (let at = 0; at < png.length; at++) {
      const changed = png.slice();
      changed[at]! ^= 0x10;
      expect(() => readPngChunks(changed)).toThrow(FormatError);
    }
  });
});

describe("text", () => {
  const texts = {
    parameters: "a cat\nSteps: 50, Seed: 7, café",
    reward: '{"aesthetic":0.5}',
    prompt: "猫 🐱",
    empty: "",
  };

  test("texts come back as they were put in, and the pixels stay", async () => {
    const png = insertPngText(await encodePng(picture(4)), texts);
    expect(Object.fromEntries(readPngText(png))).toEqual(texts);
    expect(await decodePng(png)).toEqual(picture(4));
  });

  test("Latin-1 texts are tEXt, others iTXt, all right before IEND", async () => {
    const png = insertPngText(await encodePng(picture(3)), texts);
    const types = readPngChunks(png).map(({ type }) => type);
    expect(types.slice(-5)).toEqual(["tEXt", "tEXt", "iTXt", "tEXt", "IEND"]);
  });

  test("a keyword put in again replaces the old text and leaves the others", async () => {
    const png = insertPngText(insertPngText(await encodePng(picture(3)), texts), { prompt: "a dog" });
    expect(Object.fromEntries(readPngText(png))).toEqual({ ...texts, prompt: "a dog" });
    expect(readPngChunks(png).filter(({ type }) => type === "iTXt")).toEqual([]);
  });

  test("a compressed iTXt is read", async () => {
    const png = await encodePng(picture(3));
    const body = join(ascii("workflow"), Uint8Array.of(0, 1, 0, 0, 0), deflateSync(new TextEncoder().encode("猫")));
    const withText = join(png.subarray(0, -12), writePngChunk("iTXt", body), png.subarray(-12));
    expect(readPngText(withText).get("workflow")).toBe("猫");
  });

  test("damaged entries are refused", async () => {
    const png = await encodePng(picture(3));
    const put = (type: string, body: Uint8Array) =>
      join(png.subarray(0, -12), writePngChunk(type, body), png.subarray(-12));
    expect(() => readPngText(put("tEXt", ascii("no separator")))).toThrow(FormatError);
    expect(() => readPngText(put("iTXt", ascii("key\0\0\0no language end")))).toThrow(FormatError);
    expect(() => readPngText(put("iTXt", join(ascii("key\0\0\0\0\0"), Uint8Array.of(0xff))))).toThrow(FormatError);
    expect(() => readPngText(put("iTXt", ascii("key\0\u0001\0\0\0not deflated")))).toThrow(FormatError);
  });

  test.each(["", " lead", "trail ", "a".repeat(80), "new\nline", "猫"])(
    "the keyword %j is refused",
    async (keyword) => {
      const png = await encodePng(picture(3));
      expect(() => insertPngText(png, { [keyword]: "text" })).toThrow(ConfigError);
    },
  );
});

describe("contact sheet", () => {
  test("each pixel of each picture lands at its place, scaled by a whole number", async () => {
    const [height, width, count, columns, scale, gap] = [2, 3, 5, 2, 2, 1];
    const images = Float32Array.from({ length: count * 3 * height * width }, (_, at) => ((at * 7) % 90) / 255);
    const sheet = await decodePng(await contactSheet({ images, height, width }, { columns, scale, gap }));
    expect([sheet.width, sheet.height]).toEqual([2 * (6 + 1) + 1, 3 * (4 + 1) + 1]);
    for (let at = 0; at < count; at++) {
      for (let y = 0; y < height * scale; y++) {
        for (let x = 0; x < width * scale; x++) {
          for (let channel = 0; channel < 3; channel++) {
            const row = gap + Math.floor(at / columns) * (height * scale + gap) + y;
            const column = gap + (at % columns) * (width * scale + gap) + x;
            const from = ((at * 3 + channel) * height + (y >> 1)) * width + (x >> 1);
            expect(sheet.data[(row * sheet.width + column) * 3 + channel]).toBe((from * 7) % 90);
          }
        }
      }
    }
  });

  test("values outside [0, 1] are clipped", async () => {
    const sheet = await contactSheet({ images: Float32Array.of(-1, 0.5, 2), height: 1, width: 1 }, { gap: 0 });
    expect([...(await decodePng(sheet)).data]).toEqual([0, 128, 255]);
  });

  test("a ragged batch is refused", async () => {
    await expect(contactSheet({ images: new Float32Array(13), height: 2, width: 2 })).rejects.toThrow(ShapeError);
  });
});
