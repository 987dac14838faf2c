/** Bits of the infinities: those of finite numbers are smaller, those of NaN larger. */
export const FLOAT32_INFINITY = 0x7f800000;
export const HALF_INFINITY = 0x7c00;

/** Numbers with the float32 bits that `bitsOf` gives for each code. A loop: TypedArray.from with a function boxes numbers on the way. */
export function floatsFromBits(codes: ArrayLike<number>, bitsOf: (code: number) => number): Float32Array {
  const bits = new Uint32Array(codes.length);
  for (let i = 0; i < bits.length; i++) bits[i] = bitsOf(codes[i]!);
  return new Float32Array(bits.buffer);
}

/** float32 bits of a half: 1 sign bit, 5 exponent bits (bias 15 against 127), 10 fraction bits (against 23). */
export function bitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const magnitude = half & 0x7fff;
  if (magnitude >= HALF_INFINITY) return sign | FLOAT32_INFINITY | ((magnitude & 0x3ff) << 13);
  if (magnitude >= 0x400) return sign | ((magnitude + (112 << 10)) << 13);
  if (magnitude === 0) return sign;
  // Subnormal: magnitude · 2^-24, its leading one moved to the implicit place.
  const leading = 31 - Math.clz32(magnitude);
  return sign | ((leading + 103) << 23) | ((magnitude << (23 - leading)) & 0x7fffff);
}

/** float32 bits of a bfloat16, the upper half of a float32. */
export const bitsOfBrain = (brain: number): number => brain << 16;
