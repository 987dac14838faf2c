import { bytesOf } from "./number-formats.ts";
import { countOf } from "./tensor-shape.ts";
import type { TorchTensor } from "./torch-objects.ts";

const unitArrays = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const;

/**
 * The numbers of a view as row-major bytes. `read(begin, end)` gives bytes of the storage in fresh memory, and is asked
 * once: for the part from the view's first number to its last.
 */
export async function stridedBytes(
  { dtype, offset, shape, strides }: TorchTensor,
  read: (begin: number, end: number) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const unit = bytesOf(dtype, 1) as keyof typeof unitArrays;
  const count = countOf(shape);
  if (count === 0) return new Uint8Array(0);
  const span = shape.reduce((last, axis, k) => last + (axis - 1) * strides[k]!, 1);
  const bytes = await read(offset * unit, (offset + span) * unit);
  if (isRowMajor(shape, strides)) return bytes;
  const from = new unitArrays[unit](bytes.buffer as ArrayBuffer, bytes.byteOffset, span);
  const to = new unitArrays[unit](count);
  const index = shape.map(() => 0);
  let at = 0; // number of the span that belongs to `index`
  for (let i = 0; i < count; i++) {
    to[i] = from[at]!;
    for (let k = shape.length - 1; k >= 0; k--) {
      at += strides[k]!;
      if (++index[k]! < shape[k]!) break;
      at -= shape[k]! * strides[k]!;
      index[k] = 0;
    }
  }
  return new Uint8Array(to.buffer);
}

/** Whether the numbers of a view follow each other. The stride of an axis of size 1 says nothing. */
function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let k = shape.length - 1; k >= 0; k--) {
    if (shape[k] !== 1 && strides[k] !== expected) return false;
    expected *= shape[k]!;
  }
  return true;
}
