import { FormatError } from "../core/errors.ts";
import { bitsOfBrain, bitsOfHalf, FLOAT32_INFINITY, floatsFromBits, HALF_INFINITY } from "../core/half-bits.ts";

/** Number formats of weight files in safetensors' names, with the bits that one number takes. */
export const bitSizes = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F8_E8M0: 8,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  // Known, so that a file that holds them among others can be opened; their numbers are not read.
  C64: 64,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

export type NumberFormat = keyof typeof bitSizes;

/** Bytes of `count` numbers; not whole for some counts of formats below 8 bits. */
export const bytesOf = (format: NumberFormat, count: number): number => (count * bitSizes[format]) / 8;

/** Number formats that we write. */
export type WrittenFormat = "F32" | "F16" | "BF16";

/**
 * Little-endian numbers as float32. F64 and integers beyond 2²⁴ are rounded to the nearest float32; every other value
 * is exact. BOOL gives 0 and 1. `bytes` must start at a multiple of 8 of its buffer; the result may share its memory.
 * Throws FormatError, naming `what`, for complex numbers and formats below 8 bits.
 */
export function decodeNumbers(bytes: Uint8Array, format: NumberFormat, what: string): Float32Array {
  const { buffer, byteOffset } = bytes;
  const count = (bytes.length * 8) / bitSizes[format];
  switch (format) {
    case "F32":
      return new Float32Array(buffer, byteOffset, count);
    case "F16":
      return floatsFromBits(new Uint16Array(buffer, byteOffset, count), bitsOfHalf);
    case "BF16":
      return floatsFromBits(new Uint16Array(buffer, byteOffset, count), bitsOfBrain);
    case "F8_E5M2":
    case "F8_E4M3":
    case "F8_E4M3FNUZ":
    case "F8_E5M2FNUZ":
    case "F8_E8M0": {
      const values = Float32Array.from({ length: 256 }, (_, byte) => byteFloats[format](byte));
      return floats(bytes, (byte) => values[byte]!);
    }
    case "F64":
      return floats(new Float64Array(buffer, byteOffset, count), (value) => value);
    case "C64":
    case "F6_E2M3":
    case "F6_E3M2":
    case "F4":
      throw new FormatError(`${what} holds ${format} numbers, which are not read. Save it as F32, F16 or BF16.`);
    default:
      return floats(integersOf(bytes, format), Number);
  }
}

/**
 * Little-endian integers as int32. Throws FormatError, naming `what`, for formats that are no integers and for values
 * that int32 cannot hold.
 */
export function decodeIntegers(bytes: Uint8Array, format: NumberFormat, what: string): Int32Array {
  if (!isIntegerFormat(format)) {
    throw new FormatError(`${what} holds ${format} numbers where integers are needed (${integerFormats.join(", ")}).`);
  }
  const integers = integersOf(bytes, format);
  const out = new Int32Array(integers.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(integers[i]!);
    if (BigInt(integers[i]!) !== BigInt(out[i]!)) {
      throw new FormatError(`${what} holds ${integers[i]}, which does not fit int32 (−2³¹ to 2³¹ − 1).`);
    }
  }
  return out;
}

const integerFormats = ["I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"] as const;
type IntegerFormat = (typeof integerFormats)[number];
const isIntegerFormat = (format: NumberFormat): format is IntegerFormat =>
  (integerFormats as readonly string[]).includes(format);

const arrayOf = {
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

const integersOf = ({ buffer, byteOffset, length }: Uint8Array, format: IntegerFormat): Numbers<number | bigint> =>
  new arrayOf[format](buffer as ArrayBuffer, byteOffset, (length * 8) / bitSizes[format]);

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

interface Numbers<T> {
  readonly length: number;
  readonly [index: number]: T;
}

// Loops: TypedArray.from with a function makes a list of boxed numbers on the way.
function floats<T>(numbers: Numbers<T>, value: (number: T) => number): Float32Array {
  const out = new Float32Array(numbers.length);
  for (let i = 0; i < out.length; i++) out[i] = value(numbers[i]!);
  return out;
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

/** A float of one byte: 1 sign bit, exponent, `fractionBits`; the same law as float32's, without infinities and NaN. */
function byteFloat(byte: number, fractionBits: number, bias: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte & 0x7f) >>> fractionBits;
  const fraction = byte & (2 ** fractionBits - 1);
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  return sign * (2 ** fractionBits + fraction) * 2 ** (exponent - bias - fractionBits);
}

/** Values of the bytes of each format. */
const byteFloats = {
  F8_E5M2: (byte: number) => floatsFromBits([byte << 8], bitsOfHalf)[0]!, // the upper byte of a half
  F8_E4M3: (byte: number) => ((byte & 0x7f) === 0x7f ? Number.NaN : byteFloat(byte, 3, 7)), // no infinities
  F8_E4M3FNUZ: (byte: number) => (byte === 0x80 ? Number.NaN : byteFloat(byte, 3, 8)), // no infinities, no −0
  F8_E5M2FNUZ: (byte: number) => (byte === 0x80 ? Number.NaN : byteFloat(byte, 2, 16)),
  F8_E8M0: (byte: number) => (byte === 0xff ? Number.NaN : 2 ** (byte - 127)), // a power of 2, no sign
} as const;
