import { FormatError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { bytesOf, decodeNumbers, encodeNumbers, type WrittenFormat } from "./number-formats.ts";
import { buildHeader, headerLength, parseHeader } from "./safetensors-header.ts";
import { shapeCount } from "./tensor-shape.ts";
import type { WeightsContent } from "./weights-file.ts";

/**
 * Reads a safetensors file held in memory. Values of every format come as float32: F64 and integers beyond 2²⁴ are
 * rounded. Throws FormatError, naming `source`, for anything the format does not allow.
 */
export function readSafetensors(bytes: Uint8Array, source: string): WeightsContent {
  const header = bytes.subarray(0, headerLength(bytes.subarray(0, 8), bytes.length, source));
  const { entries, metadata } = parseHeader(header, bytes.length, source);
  const tensors = entries.map(({ name, dtype, shape, begin, end }) => {
    // A copy starts at an aligned address. (`slice` of a Node Buffer would not copy.)
    const copy = Uint8Array.from(bytes.subarray(begin, end));
    return [name, { dtype, shape, data: decodeNumbers(copy, dtype, `${source}: tensor "${name}"`) }] as const;
  });
  return { tensors: Object.fromEntries(tensors), metadata };
}

/**
 * The bytes of a safetensors file: the same bytes for the same tensors, in whatever order they come. `metadata` is
 * added to `{"format": "pt"}`. Throws FormatError for a shape that does not fit its data, or a number too large for
 * the format.
 */
export function writeSafetensors(
  tensors: NamedArrays,
  metadata: Readonly<Record<string, string>> = {},
  dtype: WrittenFormat = "F32",
): Uint8Array {
  const parts = [...safetensorsParts(tensors, metadata, dtype)];
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The file piece by piece, so that a large one need not be held in memory twice: the header, then each tensor. */
export function* safetensorsParts(
  tensors: NamedArrays,
  metadata: Readonly<Record<string, string>>,
  dtype: WrittenFormat,
): Generator<Uint8Array> {
  const names = Object.keys(tensors).sort();
  const entries = names.map((name) => {
    const { shape, data } = tensors[name]!;
    if (name === "__metadata__") {
      throw new FormatError('A tensor cannot be called "__metadata__": safetensors keeps that name for itself.');
    }
    if (shapeCount(shape) !== data.length) {
      throw new FormatError(`Tensor "${name}" has shape [${shape}] but ${data.length} numbers; they must agree.`);
    }
    return { name, dtype, shape, bytes: bytesOf(dtype, data.length) };
  });
  const sorted = Object.entries({ format: "pt", ...metadata }).sort(([a], [b]) => (a < b ? -1 : 1));
  yield buildHeader(entries, Object.fromEntries(sorted));
  for (const name of names) yield encodeNumbers(tensors[name]!.data, dtype, `Tensor "${name}"`);
}
