/** Mean and population standard deviation, in float64. */
export function moments(values: ArrayLike<number>): { mean: number; std: number } {
  const list = Array.from(values);
  const mean = list.reduce((p, q) => p + q, 0) / list.length;
  return { mean, std: Math.sqrt(list.reduce((p, q) => p + (q - mean) ** 2, 0) / list.length) };
}
