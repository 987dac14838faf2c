/** float16 with the given 16 bits: 1 sign, 5 exponent, 10 fraction. */
export function halfOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const word = new Uint32Array(1);
const asFloat = new Float32Array(word.buffer);

/** bfloat16 with the given 16 bits: the upper half of a float32. */
export function bfloatOf(bits: number): number {
  word[0] = bits << 16;
  return asFloat[0]!;
}
