// Philox4x32-10 [salmon2011parallel]: a keyed bijection of 128-bit counters. One block is four 32-bit words.

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9; // golden ratio
const KEY_STEP_1 = 0xbb67ae85; // sqrt(3) - 1
const ROUNDS = 10;

/**
 * Writes the blocks of the counters (first, c1, c2, c3), (first + 1, c1, c2, c3), … into `out`, four words each,
 * starting at `out[0]`. All numbers are taken modulo 2³².
 */
export function philoxBlocks(
  out: Uint32Array,
  blocks: number,
  first: number,
  c1: number,
  c2: number,
  c3: number,
  key0: number,
  key1: number,
): void {
  for (let block = 0; block < blocks; block++) {
    let x0 = (first + block) | 0;
    let x1 = c1 | 0;
    let x2 = c2 | 0;
    let x3 = c3 | 0;
    let k0 = key0 | 0;
    let k1 = key1 | 0;
    for (let round = 0; round < ROUNDS; round++) {
      // high:low = multiplier · x, 64 bits. Math.imul gives the low half; the high half is built from 16-bit halves,
      // whose partial sums stay below 2³².
      const x0Low = x0 & 0xffff;
      const x0High = x0 >>> 16;
      const mid0 = (Math.imul(x0High, MULTIPLIER_0 & 0xffff) + (Math.imul(x0Low, MULTIPLIER_0 & 0xffff) >>> 16)) | 0;
      const cross0 = (Math.imul(x0Low, MULTIPLIER_0 >>> 16) + (mid0 & 0xffff)) | 0;
      const high0 = (Math.imul(x0High, MULTIPLIER_0 >>> 16) + (mid0 >>> 16) + (cross0 >>> 16)) | 0;
      const low0 = Math.imul(x0, MULTIPLIER_0);

      const x2Low = x2 & 0xffff;
      const x2High = x2 >>> 16;
      const mid1 = (Math.imul(x2High, MULTIPLIER_1 & 0xffff) + (Math.imul(x2Low, MULTIPLIER_1 & 0xffff) >>> 16)) | 0;
      const cross1 = (Math.imul(x2Low, MULTIPLIER_1 >>> 16) + (mid1 & 0xffff)) | 0;
      const high1 = (Math.imul(x2High, MULTIPLIER_1 >>> 16) + (mid1 >>> 16) + (cross1 >>> 16)) | 0;
      const low1 = Math.imul(x2, MULTIPLIER_1);

      x0 = high1 ^ x1 ^ k0;
      x1 = low1;
      x2 = high0 ^ x3 ^ k1;
      x3 = low0;
      k0 = (k0 + KEY_STEP_0) | 0;
      k1 = (k1 + KEY_STEP_1) | 0;
    }
    const at = 4 * block;
    out[at] = x0;
    out[at + 1] = x1;
    out[at + 2] = x2;
    out[at + 3] = x3;
  }
}
