/**
 * Blurs a picture [C, side, side] in place, with edges continued: two passes of the filter (a, 1 − 2a, a) along each
 * axis, whose variances 2a add up to std². `std` is in pixels, 0 to 1.
 */
export function soften(image: Float32Array, side: number, std: number): void {
  const a = (std * std) / 4;
  const line = new Float32Array(side);
  const pass = (start: number, stride: number) => {
    for (let i = 0; i < side; i++) line[i] = image[start + i * stride]!;
    for (let i = 0; i < side; i++) {
      const sides = line[Math.max(0, i - 1)]! + line[Math.min(side - 1, i + 1)]!;
      image[start + i * stride] = (1 - 2 * a) * line[i]! + a * sides;
    }
  };
  for (let plane = 0; plane < image.length; plane += side * side) {
    for (let repeat = 0; repeat < 2; repeat++) {
      for (let i = 0; i < side; i++) pass(plane + i * side, 1);
      for (let i = 0; i < side; i++) pass(plane + i, side);
    }
  }
}
