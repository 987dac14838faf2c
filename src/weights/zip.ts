import { FormatError } from "../core/errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { showValue } from "./show-value.ts";

// A zip file ends with a directory of its entries and a record that says where the directory is; the 64-bit forms of
// both are used where a number does not fit. torch.save writes entries uncompressed, so nothing here unpacks anything.
// Checksums are not compared: torch can be told to leave them out (and does not compare them itself).

const DIRECTORY_END = 0x06054b50;
const DIRECTORY_END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_ENTRY = 0x04034b50;

const DIRECTORY_END_BYTES = 22;
const LOCATOR_64_BYTES = 20;
const DIRECTORY_END_64_BYTES = 56;
const DIRECTORY_ENTRY_BYTES = 46;
const LOCAL_ENTRY_BYTES = 30;
const MAX_COMMENT_BYTES = 0xffff;
const MAX_DIRECTORY_BYTES = 100_000_000;

/** How a zip file starts that has entries. */
export const zipMagic = "PK\x03\x04";

export interface ZipEntry {
  readonly name: string;
  /** Bytes of the content, counted from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

interface DirectoryPlace {
  readonly entries: number;
  readonly begin: number;
  readonly end: number;
}

interface DirectoryEntry {
  readonly name: string;
  readonly bytes: number;
  readonly header: number;
}

/**
 * The entries of a zip file by name. Throws FormatError for compressed or encrypted entries, names that lead out of a
 * folder or stand twice, and entries that overlap each other or leave the file.
 */
export async function readZipEntries(source: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const place = await findDirectory(source);
  const directory = parseDirectory(await source.read(place.begin, place.end), place.entries, source.name);
  const entries = new Map<string, ZipEntry>();
  let free = 0; // everything before it belongs to earlier entries
  for (const entry of directory.sort((a, b) => a.header - b.header)) {
    if (entry.header < free) refuse(source.name, `entry ${showValue(entry.name)} overlaps the entry before it`);
    const located = await locate(source, entry, place.begin);
    if (entries.has(entry.name)) refuse(source.name, `there are two entries ${showValue(entry.name)}`);
    entries.set(entry.name, located);
    free = located.end;
  }
  return entries;
}

async function findDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const { name, size } = source;
  const tailStart = Math.max(0, size - DIRECTORY_END_BYTES - MAX_COMMENT_BYTES - LOCATOR_64_BYTES);
  const tail = viewOf(await source.read(tailStart, size));
  let at = tail.byteLength - DIRECTORY_END_BYTES;
  while (at >= 0 && !isDirectoryEnd(tail, at)) at--;
  if (at < 0) refuse(name, "its directory is missing: the file is cut short or no zip");
  const record = tailStart + at;
  let place = { entries: tail.getUint16(at + 10, true), begin: tail.getUint32(at + 16, true), end: record };
  let bytes = tail.getUint32(at + 12, true);
  if (at >= LOCATOR_64_BYTES && tail.getUint32(at - LOCATOR_64_BYTES, true) === LOCATOR_64) {
    const record64 = uint64(tail, at - LOCATOR_64_BYTES + 8);
    const end64 = record - LOCATOR_64_BYTES - DIRECTORY_END_64_BYTES;
    if (record64 !== end64) refuse(name, `its 64-bit directory record should stand at byte ${end64}, not ${record64}`);
    const view = viewOf(await source.read(end64, end64 + DIRECTORY_END_64_BYTES));
    if (view.getUint32(0, true) !== DIRECTORY_END_64) refuse(name, "its 64-bit directory record is missing");
    place = { entries: uint64(view, 32), begin: uint64(view, 48), end: end64 };
    bytes = uint64(view, 40);
  }
  if (place.begin + bytes !== place.end) {
    refuse(name, `its directory of ${bytes} bytes at ${place.begin} should end at byte ${place.end}`);
  }
  if (bytes > MAX_DIRECTORY_BYTES) refuse(name, `its directory may have at most 100 MB; it has ${bytes} bytes`);
  return place;
}

/** The record's comment must reach to the end of the file. */
const isDirectoryEnd = (tail: DataView, at: number): boolean =>
  tail.getUint32(at, true) === DIRECTORY_END &&
  at + DIRECTORY_END_BYTES + tail.getUint16(at + 20, true) === tail.byteLength;

function parseDirectory(bytes: Uint8Array, count: number, source: string): DirectoryEntry[] {
  const view = viewOf(bytes);
  const entries: DirectoryEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + DIRECTORY_ENTRY_BYTES > bytes.length || view.getUint32(at, true) !== DIRECTORY_ENTRY) {
      refuse(source, `its directory is broken at byte ${at}`);
    }
    const nameEnd = at + DIRECTORY_ENTRY_BYTES + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > bytes.length) refuse(source, `its directory is broken at byte ${at}`);
    const name = parseName(bytes.subarray(at + DIRECTORY_ENTRY_BYTES, nameEnd), source);
    const method = view.getUint16(at + 10, true);
    if ((view.getUint16(at + 8, true) & 1) !== 0) refuse(source, `entry ${showValue(name)} is encrypted`);
    if (method !== 0) {
      refuse(
        source,
        `entry ${showValue(name)} is compressed (method ${method}); torch.save writes entries uncompressed, so save it anew`,
      );
    }
    const extra = view64(view, nameEnd, extraEnd);
    const size = extra(view.getUint32(at + 24, true));
    const packed = extra(view.getUint32(at + 20, true));
    const header = extra(view.getUint32(at + 42, true));
    if (size === undefined || packed === undefined || header === undefined || size !== packed) {
      refuse(source, `the sizes of entry ${showValue(name)} are broken`);
    } else entries.push({ name, bytes: size, header });
    at = next;
  }
  if (entries.length !== count) refuse(source, `its directory should have ${count} entries; it has ${entries.length}`);
  return entries;
}

/**
 * Reader of the numbers of a directory entry: those that do not fit 32 bits stand in the extra field 1, in the order in
 * which they are asked for. Gives undefined where one is missing.
 */
function view64(view: DataView, begin: number, end: number): (number32: number) => number | undefined {
  let at = begin;
  while (at + 4 <= end && view.getUint16(at, true) !== 1) at += 4 + view.getUint16(at + 2, true);
  const fieldEnd = at + 4 <= end ? Math.min(end, at + 4 + view.getUint16(at + 2, true)) : 0;
  at += 4;
  return (number32) => {
    if (number32 !== 0xffffffff) return number32;
    if (at + 8 > fieldEnd) return undefined;
    at += 8;
    return uint64(view, at - 8);
  };
}

function parseName(bytes: Uint8Array, source: string): string {
  let name = "";
  try {
    name = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    refuse(source, "the name of an entry is not UTF-8");
  }
  const steps = name.split("/");
  if (/[\\\0]/.test(name) || steps.some((step) => step === "" || step === "." || step === "..")) {
    refuse(source, `the entry name ${showValue(name)} is no relative path inside the archive`);
  }
  return name;
}

/** Finds the content behind an entry's own header, which repeats its name. */
async function locate(source: ByteSource, { name, bytes, header }: DirectoryEntry, end: number): Promise<ZipEntry> {
  if (header + LOCAL_ENTRY_BYTES > end) refuse(source.name, `entry ${showValue(name)} lies outside the file`);
  const view = viewOf(await source.read(header, header + LOCAL_ENTRY_BYTES));
  const nameEnd = header + LOCAL_ENTRY_BYTES + view.getUint16(26, true);
  const begin = nameEnd + view.getUint16(28, true);
  if (view.getUint32(0, true) !== LOCAL_ENTRY || begin + bytes > end) {
    refuse(source.name, `entry ${showValue(name)} lies outside the file, or its header is broken`);
  }
  const localName = new TextDecoder().decode(await source.read(header + LOCAL_ENTRY_BYTES, nameEnd));
  if (localName !== name) {
    refuse(source.name, `entry ${showValue(name)} calls itself ${showValue(localName)} in its own header`);
  }
  return { name, begin, end: begin + bytes };
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

/** Numbers above 2⁵³ are rounded; no file is that long, so that the checks of bounds refuse them. */
const uint64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

function refuse(source: string, what: string): never {
  throw new FormatError(`${source} is no zip file that can be read: ${what}.`);
}
