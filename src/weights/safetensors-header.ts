import { FormatError } from "../core/errors.ts";
import { isJsonObject } from "../core/parse-json.ts";
import { bitSizes, bytesOf, type NumberFormat } from "./number-formats.ts";
import { parseJsonObject } from "./parse-json.ts";
import { showValue } from "./show-value.ts";
import { isCounts, shapeCount, shapeRule } from "./tensor-shape.ts";

// A safetensors file is: u64 N (little-endian), N bytes of JSON padded with spaces so that the data starts at a
// multiple of 8, and the data. The JSON maps names to {dtype, shape, data_offsets: [begin, end]}, offsets counted from
// the start of the data, and "__metadata__" to strings.

const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

export interface TensorEntry {
  readonly name: string;
  readonly dtype: NumberFormat;
  readonly shape: readonly number[];
  /** Bytes of the data, counted from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: readonly TensorEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** How many bytes at the start of a file of `fileBytes` bytes make its header, from the first 8 of them. */
export function headerLength(prefix: Uint8Array, fileBytes: number, source: string): number {
  if (fileBytes < PREFIX_BYTES || prefix.length < PREFIX_BYTES) {
    throw new FormatError(`${source}: a safetensors file starts with 8 bytes of header length; it has ${fileBytes}.`);
  }
  const jsonBytes = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (jsonBytes > MAX_HEADER_BYTES) {
    throw new FormatError(
      `${source}: a safetensors header has at most 100 MB; this file announces ${jsonBytes} bytes.`,
    );
  }
  const length = PREFIX_BYTES + Number(jsonBytes);
  if (length > fileBytes) {
    throw new FormatError(
      `${source}: the header should end at byte ${length}, but the file has ${fileBytes} bytes: it is cut short or not safetensors.`,
    );
  }
  return length;
}

/** Reads and checks a header. `header` is the first headerLength(…) bytes of a file of `fileBytes` bytes. */
export function parseHeader(header: Uint8Array, fileBytes: number, source: string): SafetensorsHeader {
  const json = parseJsonObject(header.subarray(PREFIX_BYTES), `${source}: the safetensors header`);
  const entries: TensorEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") metadata = parseMetadata(value, source);
    else entries.push(parseEntry(name, value, header.length, source));
  }
  checkCoverage(entries, header.length, fileBytes, source);
  return { entries, metadata };
}

/** The header bytes of tensors whose data follow each other in the given order. */
export function buildHeader(
  tensors: readonly { name: string; dtype: NumberFormat; shape: readonly number[]; bytes: number }[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  let end = 0;
  const fields: [string, unknown][] = [["__metadata__", metadata]];
  for (const { name, dtype, shape, bytes } of tensors) {
    fields.push([name, { dtype, shape, data_offsets: [end, end + bytes] }]);
    end += bytes;
  }
  // Joined by hand: an object would move names such as "12" to the front.
  const json = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
  const text = new TextEncoder().encode(`{${json}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(PREFIX_BYTES + padded).fill(0x20);
  header.set(text, PREFIX_BYTES);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  return header;
}

function parseMetadata(value: unknown, source: string): Record<string, string> {
  if (!isJsonObject(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw new FormatError(`${source}: __metadata__ maps strings to strings; it is ${showValue(value)}.`);
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, dataStart: number, source: string): TensorEntry {
  const refuse = (rule: string, got: unknown): never => {
    throw new FormatError(`${source}: tensor ${showValue(name)}: ${rule}; got ${showValue(got)}.`);
  };
  if (!isJsonObject(value)) return refuse("its entry must be an object with dtype, shape and data_offsets", value);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(bitSizes, dtype)) {
    return refuse(`dtype must be one of ${Object.keys(bitSizes).join(", ")}`, dtype);
  }
  const count = isCounts(shape) ? shapeCount(shape) : undefined;
  if (count === undefined) return refuse(shapeRule, shape);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[1]! < offsets[0]!) {
    return refuse("data_offsets must be [begin, end] with 0 <= begin <= end", offsets);
  }
  const [begin, end] = offsets as readonly [number, number];
  const bytes = bytesOf(dtype as NumberFormat, count);
  if (bytes !== end - begin) {
    return refuse(
      `data_offsets [${begin}, ${end}] must hold the bytes of shape ${showValue(shape)} in ${dtype}`,
      bytes,
    );
  }
  return {
    name,
    dtype: dtype as NumberFormat,
    shape: shape as readonly number[],
    begin: dataStart + begin,
    end: dataStart + end,
  };
}

/** Every byte of the data belongs to exactly one tensor. */
function checkCoverage(entries: readonly TensorEntry[], dataStart: number, fileBytes: number, source: string): void {
  const ordered = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = dataStart;
  for (const { name, begin, end } of ordered) {
    if (begin !== expected) {
      const what = begin < expected ? "overlaps the tensor before it" : "leaves a gap before it";
      throw new FormatError(
        `${source}: tensor ${showValue(name)} ${what}: its data should begin at ${expected - dataStart}, not ${begin - dataStart}.`,
      );
    }
    expected = end;
  }
  if (expected !== fileBytes) {
    throw new FormatError(
      `${source}: by its header the file has ${expected} bytes, but it has ${fileBytes}: it is cut short or has bytes of no tensor.`,
    );
  }
}
