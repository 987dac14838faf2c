/** Float32 values in row-major order; the product of `shape` is their number. */
export interface NamedArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Arrays by the names weight files give them, such as `down_blocks.0.resnets.0.conv1.weight`. */
export type NamedArrays = Readonly<Record<string, NamedArray>>;

/** Number of values in all arrays together. */
export function countParameters(arrays: NamedArrays): number {
  return Object.values(arrays).reduce((total, { data }) => total + data.length, 0);
}

/** The arrays whose name starts with `prefix`, under the rest of their names; the values are shared. */
export function withPrefix(arrays: NamedArrays, prefix: string): NamedArrays {
  const inside = Object.entries(arrays).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(inside.map(([name, array]) => [name.slice(prefix.length), array]));
}

/** A deep copy: writing to the values of one does not reach the other. */
export function cloneArrays(arrays: NamedArrays): NamedArrays {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { shape, data }]) => [name, { shape: [...shape], data: data.slice() }]),
  );
}
