/**
 * Float32 values that lie in a file: little-endian, row-major, from byte `offset` on. Iterating reads them. The file must
 * stay as it is for as long as anything refers to it.
 */
export interface FileRegion extends Iterable<number> {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** In bytes, a multiple of 4. */
  readonly offset: number;
  /** Number of values. */
  readonly length: number;
  /** A fresh copy of the values. */
  read(): Float32Array;
}

/** Float32 values in row-major order; the product of `shape` is their number. */
export interface NamedArray {
  readonly shape: readonly number[];
  /** Where `file` is given, every access reads a fresh copy. */
  readonly data: Float32Array;
  /** The place in a file where the values lie, when they are not held in memory. */
  readonly file?: FileRegion;
}

/** Arrays by the names weight files give them, such as `down_blocks.0.resnets.0.conv1.weight`. */
export type NamedArrays = Readonly<Record<string, NamedArray>>;

/** Number of values in all arrays together. */
export function countParameters(arrays: NamedArrays): number {
  return Object.values(arrays).reduce((total, { shape }) => total + shape.reduce((n, d) => n * d, 1), 0);
}

/** The entries whose name starts with `prefix`, under the rest of their names; the values are shared. */
export function withPrefix<T>(table: Readonly<Record<string, T>>, prefix: string): Record<string, T> {
  const inside = Object.entries(table).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(inside.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** The same entries with `prefix` before each name; the values are shared. */
export function addPrefix<T>(table: Readonly<Record<string, T>>, prefix: string): Record<string, T> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [prefix + name, value]));
}

/** A deep copy: writing to the values of one does not reach the other. */
export function cloneArrays(arrays: NamedArrays): NamedArrays {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { shape, data }]) => [name, { shape: [...shape], data: data.slice() }]),
  );
}
