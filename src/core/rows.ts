type Floats = Float32Array | Float64Array;

/** The rows of data [n, size] at `indices`, in that order; one may stand there more than once. [indices.length, size] */
export function rowsAt<Data extends Floats>(data: Data, size: number, indices: ArrayLike<number>): Data {
  const rows = new (data.constructor as new (length: number) => Data)(indices.length * size);
  for (let j = 0; j < indices.length; j++) {
    const from = indices[j]! * size;
    rows.set(data.subarray(from, from + size), j * size);
  }
  return rows;
}
