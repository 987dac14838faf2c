import { ShapeError } from "../core/errors.ts";
import { showShape, type Tensor } from "../tensor/index.ts";

/**
 * Multi-head attention softmax(q·kᵀ/√d + mask)·v with d = D/heads [vaswani2017attention]: q [B,L,D], k and v [B,M,D] →
 * [B,L,D]. `mask` is added to the logits and broadcasts to [B,heads,L,M]; `additiveMask` makes it from a mask of zeros and ones.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, heads: number, mask?: Tensor): Tensor {
  const [B, L, D] = q.shape as [number, number, number];
  const M = k.shape[1]!;
  if (q.rank !== 3 || k.rank !== 3 || D % heads !== 0) {
    throw new ShapeError(
      `attention: q [B,L,D] and k [B,M,D] with D divisible by the number of heads are needed, but ${showShape(q.shape)}, ${showShape(k.shape)} and ${heads} heads came.`,
    );
  }
  const d = D / heads;
  const split = (x: Tensor, length: number) => x.reshape([B, length, heads, d]).transpose([0, 2, 1, 3]); // [B,heads,·,d]
  const logits = split(q.mul(1 / Math.sqrt(d)), L).matmul(split(k, M), { transB: true }); // [B,heads,L,M]
  const weights = (mask ? logits.add(mask) : logits).softmax();
  return weights.matmul(split(v, M)).transpose([0, 2, 1, 3]).reshape([B, L, D]);
}

/**
 * The mask to add to attention logits from one that is 1 where a key may be seen and 0 elsewhere, of any shape: 0 or −1e30,
 * large enough that softmax gives exactly 0, finite so that a row without any visible key stays a number.
 */
export const additiveMask = (visible: Tensor): Tensor => visible.cast("float32").sub(1).mul(1e30);
