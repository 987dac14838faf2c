/** One file of a zip archive, and what the archive may say wrongly of it. */
export interface ZipPart {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Name in the entry's own header; default: the same. */
  readonly localName?: string;
  /** Size in the directory; default: the true one. */
  readonly statedBytes?: number;
  readonly flags?: number;
}

const LOCAL_BYTES = 30;
const DIRECTORY_BYTES = 46;
const END_BYTES = 22;

/** A zip archive of uncompressed files. `count` is what its last record says of their number. */
export function buildZip(parts: readonly ZipPart[], { count = parts.length } = {}): Uint8Array {
  const encode = (text: string) => new TextEncoder().encode(text);
  const local: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, bytes, localName = name, statedBytes = bytes.length, flags = 0 } of parts) {
    const header = record(
      LOCAL_BYTES,
      { 0: 0x04034b50, 18: bytes.length, 22: bytes.length },
      { 26: encode(localName).length },
    );
    const entry = record(
      DIRECTORY_BYTES,
      { 0: 0x02014b50, 20: statedBytes, 24: statedBytes, 42: at },
      { 8: flags, 28: encode(name).length },
    );
    local.push(header, encode(localName), bytes);
    directory.push(entry, encode(name));
    at += LOCAL_BYTES + encode(localName).length + bytes.length;
  }
  const size = directory.reduce((total, { length }) => total + length, 0);
  return Buffer.concat([
    ...local,
    ...directory,
    record(END_BYTES, { 0: 0x06054b50, 12: size, 16: at }, { 8: count, 10: count }),
  ]);
}

/** The files of an archive without a comment, whose numbers fit 32 bits. */
export function zipParts(archive: Uint8Array): ZipPart[] {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const text = (begin: number, length: number) => new TextDecoder().decode(archive.subarray(begin, begin + length));
  const parts: ZipPart[] = [];
  const count = view.getUint16(archive.length - 12, true);
  for (let at = view.getUint32(archive.length - 6, true); parts.length < count; ) {
    const [nameBytes, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [
      number,
      number,
      number,
    ];
    const header = view.getUint32(at + 42, true);
    const begin = header + LOCAL_BYTES + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    const bytes = archive.subarray(begin, begin + view.getUint32(at + 24, true));
    parts.push({ name: text(at + DIRECTORY_BYTES, nameBytes), bytes });
    at += DIRECTORY_BYTES + nameBytes + extra + comment;
  }
  return parts;
}

/** Little-endian fields at their places. */
function record(length: number, uint32: Record<number, number>, uint16: Record<number, number>): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of Object.entries(uint32)) view.setUint32(Number(at), value, true);
  for (const [at, value] of Object.entries(uint16)) view.setUint16(Number(at), value, true);
  return bytes;
}
