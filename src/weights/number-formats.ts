import { FormatError } from "../core/errors.ts";

/** Number formats of weight files that we read, with their size in bytes. */
export const byteSizes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type NumberFormat = keyof typeof byteSizes;

/** Number formats that we write. */
export type WrittenFormat = "F32" | "F16" | "BF16";

const FLOAT32_INFINITY = 0x7f800000;
const HALF_INFINITY = 0x7c00;

/**
 * Little-endian numbers as float32. F64 and integers beyond 2²⁴ are rounded to the nearest float32; every other value
 * is exact. BOOL gives 0 and 1.
 */
export function decodeNumbers(bytes: Uint8Array, format: NumberFormat): Float32Array {
  // A copy starts on an aligned address, which typed arrays need. (`slice` of a Node Buffer would not copy.)
  const buffer = new Uint8Array(bytes).buffer;
  switch (format) {
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return floatsFromBits(new Uint16Array(buffer), bitsOfHalf);
    case "BF16":
      return floatsFromBits(new Uint16Array(buffer), (word) => word << 16);
    case "F8_E5M2": // the upper byte of a half
      return floatsFromBits(new Uint8Array(buffer), (byte) => bitsOfHalf(byte << 8));
    case "F8_E4M3":
      return Float32Array.from(new Uint8Array(buffer), valueOfE4M3);
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "I64":
      return Float32Array.from(new BigInt64Array(buffer), Number);
    case "U64":
      return Float32Array.from(new BigUint64Array(buffer), Number);
    case "I32":
      return Float32Array.from(new Int32Array(buffer));
    case "U32":
      return Float32Array.from(new Uint32Array(buffer));
    case "I16":
      return Float32Array.from(new Int16Array(buffer));
    case "U16":
      return Float32Array.from(new Uint16Array(buffer));
    case "I8":
      return Float32Array.from(new Int8Array(buffer));
    case "U8":
    case "BOOL":
      return Float32Array.from(new Uint8Array(buffer));
  }
}

/**
 * Numbers as little-endian bytes, rounded to nearest, ties to even. A finite number that the format can only hold as
 * infinity is refused, naming `what`; infinities and NaN are kept. For F32 the result shares memory with `data`.
 */
export function encodeNumbers(data: Float32Array, format: WrittenFormat, what: string): Uint8Array {
  if (format === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const encode = format === "F16" ? halfOfBits : brainOfBits;
  const infinity = format === "F16" ? HALF_INFINITY : FLOAT32_INFINITY >>> 16;
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  for (let i = 0; i < bits.length; i++) {
    out[i] = encode(bits[i]!);
    if ((out[i]! & 0x7fff) === infinity && Number.isFinite(data[i]!)) {
      throw new FormatError(`${what} holds ${data[i]}, which is too large for ${format}: write it as F32.`);
    }
  }
  return new Uint8Array(out.buffer);
}

function floatsFromBits(codes: Uint16Array | Uint8Array, bitsOf: (code: number) => number): Float32Array {
  const bits = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) bits[i] = bitsOf(codes[i]!);
  return new Float32Array(bits.buffer);
}

/** float32 bits of a half: 1 sign bit, 5 exponent bits (bias 15 against 127), 10 fraction bits (against 23). */
function bitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const magnitude = half & 0x7fff;
  if (magnitude >= HALF_INFINITY) return sign | FLOAT32_INFINITY | ((magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return sign | ((magnitude + (112 << 10)) << 13);
  if (magnitude === 0) return sign;
  // Subnormal: magnitude · 2^-24, its leading one moved to the implicit place.
  const leading = 31 - Math.clz32(magnitude);
  return sign | ((leading + 103) << 23) | ((magnitude << (23 - leading)) & 0x7fffff);
}

function halfOfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > FLOAT32_INFINITY) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff); // NaN, quiet
  if (magnitude >= 0x47800000) return sign | HALF_INFINITY; // from 2^16 on
  if (magnitude >= 0x38800000) return sign | (roundedShift(magnitude, 13) - (112 << 10)); // normal from 2^-14 on
  if (magnitude < 0x33000000) return sign; // below 2^-25, half of the least subnormal
  const fraction = (magnitude & 0x7fffff) | 0x800000; // value = fraction · 2^(exponent - 150), unit 2^-24
  return sign | roundedShift(fraction, 126 - (magnitude >>> 23));
}

function brainOfBits(bits: number): number {
  if ((bits & 0x7fffffff) > FLOAT32_INFINITY) return (bits >>> 16) | 0x40; // NaN, quiet
  return ((bits >>> 16) & 0x8000) | roundedShift(bits & 0x7fffffff, 16);
}

/** value / 2^shift rounded to the nearest integer, ties to even. A carry runs into the exponent, as it should. */
function roundedShift(value: number, shift: number): number {
  const odd = (value >>> shift) & 1;
  return (value + (1 << (shift - 1)) - 1 + odd) >>> shift;
}

/** 1 sign bit, 4 exponent bits (bias 7), 3 fraction bits; no infinities, NaN is all ones. */
function valueOfE4M3(byte: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >>> 3) & 15;
  const fraction = byte & 7;
  if (exponent === 15 && fraction === 7) return Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -9 : sign * (8 + fraction) * 2 ** (exponent - 10);
}
