import { FormatError } from "../core/errors.ts";
import { bitSizes, bytesOf, type NumberFormat } from "./number-formats.ts";
import { PickleDict, PickleFunction, type PickleRules, PickleTuple } from "./pickle.ts";
import { showValue } from "./show-value.ts";
import { isCounts, shapeCount, shapeRule } from "./tensor-shape.ts";

// The Python names that a pickled state dict uses, and what they stand for here.

/** Numbers in one entry of the archive. */
export class TorchStorage {
  /** undefined: bytes, which the tensor says how to read. */
  readonly format: NumberFormat | undefined;
  readonly key: string;
  readonly bytes: number;
  constructor(format: NumberFormat | undefined, key: string, bytes: number) {
    this.format = format;
    this.key = key;
    this.bytes = bytes;
  }
}

/** A view of a storage: value [i, j, …] is number `offset + i·strides[0] + j·strides[1] + …` of it. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly dtype: NumberFormat;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(
    storage: TorchStorage,
    dtype: NumberFormat,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.dtype = dtype;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A storage class such as torch.FloatStorage. */
class StorageClass {
  readonly format: NumberFormat | undefined;
  constructor(format?: NumberFormat) {
    this.format = format;
  }
}

/** A dtype such as torch.uint16. */
class Dtype {
  readonly format: NumberFormat;
  constructor(format: NumberFormat) {
    this.format = format;
  }
}

const storageFormats = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
  ComplexFloatStorage: "C64",
} as const;

/** Dtypes without a storage class. */
const dtypes = {
  float8_e4m3fn: "F8_E4M3",
  float8_e5m2: "F8_E5M2",
  float8_e4m3fnuz: "F8_E4M3FNUZ",
  float8_e5m2fnuz: "F8_E5M2FNUZ",
  float8_e8m0fnu: "F8_E8M0",
  uint16: "U16",
  uint32: "U32",
  uint64: "U64",
} as const;

/** What the pickle of a state dict may use; `source` is named in messages. */
export function torchRules(source: string): PickleRules {
  const refuse = (rule: string, got: unknown): never => {
    throw new FormatError(`${source}: ${rule}; got ${showValue(got)}.`);
  };
  const tensor = (args: readonly unknown[], dtype: NumberFormat | undefined, metadata: unknown) => {
    const [storage, offset, size, stride] = args;
    if (!(storage instanceof TorchStorage) || dtype === undefined) return refuse("a tensor needs a storage", storage);
    if (metadata !== undefined && metadata !== null && !(metadata instanceof PickleDict && !metadata.entries)) {
      return refuse(
        "a tensor with conjugate or negative views is not read: call .resolve_conj().resolve_neg() before saving",
        metadata,
      );
    }
    const [shape, strides] = [size, stride].map((value) => (value instanceof PickleTuple ? value.items : value));
    const count = isCounts(shape) ? shapeCount(shape) : undefined;
    if (!isCounts(shape) || count === undefined) return refuse(`a tensor's ${shapeRule}`, shape);
    if (!isCounts(strides) || strides.length !== shape.length) {
      return refuse(`a tensor of shape ${showValue(shape)} needs as many strides from 0 on`, strides);
    }
    if (!isCounts([offset])) return refuse("a tensor's storage offset must be an integer from 0 on", offset);
    const numbers = Math.floor(storage.bytes / bytesOf(dtype, 1));
    const last = shape.reduce((at, axis, k) => at + (axis - 1) * strides[k]!, offset as number);
    if (count > 0 && last >= numbers) {
      return refuse(
        `a tensor of shape ${showValue(shape)} and strides ${showValue(strides)} must lie in its storage of ${numbers} numbers`,
        offset,
      );
    }
    if (count > numbers) {
      return refuse(
        `a tensor must not have more values than its storage (${numbers}): call .contiguous() before saving an expanded tensor`,
        shape,
      );
    }
    return new TorchTensor(storage, dtype, offset as number, shape, strides);
  };
  const functions: Record<string, (args: readonly unknown[]) => unknown> = {
    "collections.OrderedDict": (args) =>
      args.length === 0 ? new PickleDict() : refuse("an OrderedDict starts empty", args),
    // (storage, offset, size, stride, requires_grad, backward_hooks, metadata)
    "torch._utils._rebuild_tensor_v2": (args) =>
      tensor(args, args[0] instanceof TorchStorage ? args[0].format : undefined, args[6]),
    // (storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata)
    "torch._utils._rebuild_tensor_v3": (args) =>
      tensor(args, args[6] instanceof Dtype ? args[6].format : undefined, args[7]),
    // (data, requires_grad, backward_hooks)
    "torch._utils._rebuild_parameter": ([data]) =>
      data instanceof TorchTensor ? data : refuse("a parameter needs a tensor", data),
  };
  const prefixed = (table: Readonly<Record<string, NumberFormat>>, make: (format: NumberFormat) => unknown) =>
    Object.entries(table).map(([name, format]) => [`torch.${name}`, make(format)] as const);
  return {
    globals: new Map<string, unknown>([
      ...Object.entries(functions).map(([name, call]) => [name, new PickleFunction(call)] as const),
      ...prefixed(storageFormats, (format) => new StorageClass(format)),
      ...prefixed(dtypes, (format) => new Dtype(format)),
      ["torch.storage.UntypedStorage", new StorageClass()],
    ]),
    // ("storage", class, key, device, number of numbers)
    persistent(id) {
      const [kind, type, key, , count] = id instanceof PickleTuple ? id.items : [];
      if (kind !== "storage" || !(type instanceof StorageClass) || typeof key !== "string" || !isCounts([count])) {
        return refuse('a persistent id must be ("storage", class, key, device, count)', id);
      }
      const bits = type.format === undefined ? 8 : bitSizes[type.format];
      return new TorchStorage(type.format, key, ((count as number) * bits) / 8);
    },
  };
}
