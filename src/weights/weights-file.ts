import { FormatError } from "../core/errors.ts";
import type { NamedArray } from "../core/named-arrays.ts";
import { decodeIntegers, decodeNumbers, type NumberFormat } from "./number-formats.ts";

/** What a file says of a tensor. */
export interface TensorInfo {
  /** The format of its numbers in the file. */
  readonly dtype: NumberFormat;
  readonly shape: readonly number[];
}

/** A tensor as float32, whatever its format was. */
export interface WeightTensor extends NamedArray, TensorInfo {}

export interface WeightsContent {
  readonly tensors: Readonly<Record<string, WeightTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

export type WeightsKind = "safetensors" | "sharded safetensors" | "torch zip";

/** What the reader of one file format states. */
export interface WeightsSource {
  readonly kind: WeightsKind;
  /** Said in messages. */
  readonly name: string;
  /** Bytes of the file, or of all files. */
  readonly size: number;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The numbers of a tensor of `tensors`: little-endian, row-major, in fresh memory. */
  bytes(tensor: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Weights in a file: the names, shapes and formats are known, the numbers are read tensor by tensor. Besides what the
 * caller keeps, at most one tensor's bytes are in memory.
 */
export class WeightsFile {
  readonly source: WeightsSource;

  constructor(source: WeightsSource) {
    this.source = source;
  }

  get tensors(): ReadonlyMap<string, TensorInfo> {
    return this.source.tensors;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.source.metadata;
  }

  /** One tensor as float32: F64 and integers beyond 2²⁴ are rounded. Throws FormatError for an unknown name. */
  async read(name: string): Promise<WeightTensor> {
    const info = this.info(name);
    const data = decodeNumbers(await this.source.bytes(name), info.dtype, this.describe(name));
    return { ...info, data };
  }

  /** One tensor of integers, exactly. Throws FormatError for floats and for values that int32 cannot hold. */
  async readIntegers(name: string): Promise<TensorInfo & { readonly data: Int32Array }> {
    const info = this.info(name);
    const data = decodeIntegers(await this.source.bytes(name), info.dtype, this.describe(name));
    return { ...info, data };
  }

  /** All tensors one after the other, in the file's order. */
  async *[Symbol.asyncIterator](): AsyncGenerator<[name: string, tensor: WeightTensor]> {
    for (const name of this.tensors.keys()) yield [name, await this.read(name)];
  }

  async readAll(): Promise<WeightsContent> {
    const tensors: [string, WeightTensor][] = [];
    for await (const entry of this) tensors.push(entry);
    return { tensors: Object.fromEntries(tensors), metadata: this.metadata };
  }

  close(): Promise<void> {
    return this.source.close();
  }

  private info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (!info)
      throw new FormatError(
        `${this.source.name} has no tensor ${JSON.stringify(name)} among its ${this.tensors.size}.`,
      );
    return { dtype: info.dtype, shape: info.shape };
  }

  private describe(name: string): string {
    return `${this.source.name}: tensor ${JSON.stringify(name)}`;
  }
}

/** Opens, uses and closes weights. */
export async function withWeights<T>(
  opening: Promise<WeightsFile>,
  use: (file: WeightsFile) => Promise<T>,
): Promise<T> {
  const file = await opening;
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
