import { TensorProto_DataType as DataType, type TensorProto } from "onnx-buf";
import { FormatError } from "../../core/errors.ts";
import { bitsOfBrain, bitsOfHalf, floatsFromBits } from "../../core/half-bits.ts";
import { constant, type DType, showShape, type Tensor } from "../../tensor/index.ts";

type Numbers = ArrayLike<number | bigint>;

/** How the numbers of one ONNX type are stored, and what they become. */
interface Storage {
  /** Bytes of a number in raw data. */
  bytes: 1 | 2 | 4 | 8;
  /** Little-endian raw data, aligned to 8 bytes. */
  raw(buffer: ArrayBuffer, count: number): Numbers;
  /** The typed field that may hold them instead. */
  field: "floatData" | "doubleData" | "int32Data" | "int64Data" | "uint64Data";
  /** float32 bits of a stored code; the numbers stand for themselves when omitted. */
  bitsOf?(code: number): number;
  dtype: DType;
}

const half = (bitsOf: (code: number) => number): Storage => ({
  bytes: 2,
  raw: (buffer, count) => new Uint16Array(buffer, 0, count),
  field: "int32Data",
  bitsOf,
  dtype: "float32",
});

const ONE = 0x3f800000; // float32 bits of 1

const storages: Partial<Record<DataType, Storage>> = {
  [DataType.FLOAT]: { bytes: 4, raw: (b, n) => new Float32Array(b, 0, n), field: "floatData", dtype: "float32" },
  [DataType.DOUBLE]: { bytes: 8, raw: (b, n) => new Float64Array(b, 0, n), field: "doubleData", dtype: "float32" },
  [DataType.FLOAT16]: half(bitsOfHalf),
  [DataType.BFLOAT16]: half(bitsOfBrain),
  [DataType.BOOL]: {
    bytes: 1,
    raw: (b, n) => new Uint8Array(b, 0, n),
    field: "int32Data",
    bitsOf: (code) => (code === 0 ? 0 : ONE),
    dtype: "float32", // masks of 0 and 1
  },
  [DataType.INT64]: { bytes: 8, raw: (b, n) => new BigInt64Array(b, 0, n), field: "int64Data", dtype: "int32" },
  [DataType.UINT64]: { bytes: 8, raw: (b, n) => new BigUint64Array(b, 0, n), field: "uint64Data", dtype: "int32" },
  [DataType.INT32]: { bytes: 4, raw: (b, n) => new Int32Array(b, 0, n), field: "int32Data", dtype: "int32" },
  [DataType.UINT32]: { bytes: 4, raw: (b, n) => new Uint32Array(b, 0, n), field: "uint64Data", dtype: "int32" },
  [DataType.INT16]: { bytes: 2, raw: (b, n) => new Int16Array(b, 0, n), field: "int32Data", dtype: "int32" },
  [DataType.UINT16]: { bytes: 2, raw: (b, n) => new Uint16Array(b, 0, n), field: "int32Data", dtype: "int32" },
  [DataType.INT8]: { bytes: 1, raw: (b, n) => new Int8Array(b, 0, n), field: "int32Data", dtype: "int32" },
  [DataType.UINT8]: { bytes: 1, raw: (b, n) => new Uint8Array(b, 0, n), field: "int32Data", dtype: "int32" },
};

/** What an ONNX type becomes: floats of any width float32, integers int32, booleans float32 masks; undefined for others. */
export const dtypeOf = (type: DataType): DType | undefined => storages[type]?.dtype;

/** Name of an ONNX type in messages. */
export const typeName = (type: number): string => DataType[type] ?? `type ${type}`;

type Fail = (rule: string) => never;
const failAt =
  (where: string): Fail =>
  (rule) => {
    throw new FormatError(`${where}: ${rule}`);
  };

/** Throws FormatError, naming `where`, unless the raw data of a stored tensor has `bytes` bytes. */
export function checkRawBytes(proto: TensorProto, bytes: number, where: string): void {
  const fail = failAt(where);
  const { storage, shape, count } = layoutOf(proto, fail);
  if (bytes === count * storage.bytes) return;
  fail(
    `${showShape(shape)} of ${typeName(proto.dataType)} takes ${count * storage.bytes} bytes, but there are ${bytes}.`,
  );
}

function layoutOf(proto: TensorProto, fail: Fail): { storage: Storage; shape: number[]; count: number } {
  const storage =
    storages[proto.dataType as DataType] ??
    fail(`tensors hold floats, integers or booleans, but this one holds ${typeName(proto.dataType)}.`);
  const shape = proto.dims.map(Number);
  const count = shape.reduce((n, d) => n * d, 1);
  if (shape.some((d) => !(d >= 0)) || !Number.isSafeInteger(count)) {
    fail(`axes have sizes of 0 or more and a product below 2^53, but the shape is ${showShape(shape)}.`);
  }
  return { storage, shape, count };
}

/**
 * The values of a stored tensor as a constant. `external` holds its bytes when they lie in another file. Throws FormatError,
 * naming `where`, when type, shape and data do not fit together.
 */
export function readTensor(proto: TensorProto, where: string, external?: Uint8Array): Tensor {
  const fail = failAt(where);
  const { storage, shape, count } = layoutOf(proto, fail);
  const raw = external ?? (proto.rawData.length > 0 ? proto.rawData : undefined);
  if (raw) checkRawBytes(proto, raw.length, where);
  const typed: Numbers = proto[storage.field];
  if (!raw && typed.length !== count) {
    fail(`${showShape(shape)} holds ${count} numbers, but there are ${typed.length}.`);
  }
  const stored = raw ? storage.raw(aligned(raw), count) : typed;
  return constant(converted(stored, storage, fail), shape);
}

/** A buffer that starts with the bytes: the typed arrays above need numbers at multiples of their size. */
const aligned = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

function converted(stored: Numbers, { dtype, bitsOf }: Storage, fail: (rule: string) => never) {
  if (dtype === "float32") {
    if (stored instanceof Float32Array) return stored;
    if (bitsOf) return floatsFromBits(stored as ArrayLike<number>, bitsOf); // codes of 8 or 16 bits, never bigint
    return Float32Array.from(stored, Number);
  }
  return Int32Array.from(stored, (value) => {
    const wide = Number(value);
    if (wide === (wide | 0)) return wide;
    // The largest and smallest int64 are how exporters write "to the end" of an axis.
    if (Math.abs(wide) >= 2 ** 62) return wide > 0 ? 0x7fffffff : -0x80000000;
    return fail(`integers are computed with 32 bits, but ${value} needs more.`);
  });
}
