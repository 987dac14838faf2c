import { FormatError } from "../core/errors.ts";

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** One PNG chunk; `start` and `end` bound the whole chunk (length, type, body, CRC) in the file. */
export interface PngChunk {
  type: string;
  body: Uint8Array;
  start: number;
  end: number;
}

/**
 * Splits a PNG into its chunks, up to and including IEND [W3C PNG, §5.3]: u32 length, 4-byte type, body, u32 CRC-32 of type and body.
 * Throws FormatError on a wrong signature, a chunk that runs over the end, a wrong CRC, or a missing IHDR or IEND.
 */
export function readPngChunks(bytes: Uint8Array): PngChunk[] {
  if (bytes.length < SIGNATURE.length || SIGNATURE.some((byte, at) => bytes[at] !== byte)) {
    throw new FormatError("A PNG starts with the bytes 89 50 4e 47 0d 0a 1a 0a; these do not. Give a PNG file.");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: PngChunk[] = [];
  let start = SIGNATURE.length;
  while (chunks.at(-1)?.type !== "IEND") {
    if (start + 12 > bytes.length) {
      throw new FormatError(
        `A PNG ends with an IEND chunk, but this one stops at byte ${bytes.length}. It is cut short.`,
      );
    }
    const length = view.getUint32(start);
    const end = start + 12 + length;
    if (end > bytes.length) {
      throw new FormatError(
        `The PNG chunk at byte ${start} says it has ${length} bytes, but the file ends at byte ${bytes.length}. It is cut short or broken.`,
      );
    }
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    const stated = view.getUint32(end - 4);
    if (stated !== crc32(bytes.subarray(start + 4, end - 4))) {
      throw new FormatError(
        `The PNG chunk ${JSON.stringify(type)} at byte ${start} fails its CRC-32. The file is damaged.`,
      );
    }
    if (chunks.length === 0 && type !== "IHDR") {
      throw new FormatError(`The first chunk of a PNG is IHDR, this one begins with ${JSON.stringify(type)}.`);
    }
    chunks.push({ type, body: bytes.subarray(start + 8, end - 4), start, end });
    start = end;
  }
  return chunks;
}

/** The bytes of one chunk: length, type, body and CRC. */
export function writePngChunk(type: string, body: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + body.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length);
  for (let at = 0; at < 4; at++) chunk[4 + at] = type.charCodeAt(at);
  chunk.set(body, 8);
  view.setUint32(8 + body.length, crc32(chunk.subarray(4, 8 + body.length)));
  return chunk;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** CRC-32 (ISO 3309, reflected polynomial 0xedb88320), as PNG and zip use it. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = CRC_TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
