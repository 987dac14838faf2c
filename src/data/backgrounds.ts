/** Background colours by their prompt word, sRGB in [0, 1]: light and mid tones, so that most pictures stand out on most of them. */
export const BACKGROUNDS = [
  { name: "white", rgb: [1, 1, 1] },
  { name: "gray", rgb: [0.76, 0.78, 0.8] },
  { name: "yellow", rgb: [1, 0.89, 0.5] },
  { name: "orange", rgb: [1, 0.76, 0.55] },
  { name: "pink", rgb: [0.98, 0.74, 0.82] },
  { name: "purple", rgb: [0.79, 0.72, 0.95] },
  { name: "blue", rgb: [0.62, 0.8, 0.96] },
  { name: "teal", rgb: [0.5, 0.82, 0.79] },
  { name: "green", rgb: [0.68, 0.87, 0.62] },
  { name: "brown", rgb: [0.8, 0.68, 0.54] },
] as const satisfies readonly { name: string; rgb: readonly [number, number, number] }[];

/** sRGB in [0, 1] → OKLab, in which equal distances look about equally large [ottosson2020oklab]. */
export function oklabOf(red: number, green: number, blue: number): [lightness: number, a: number, b: number] {
  const [r, g, b] = [linearOf(red), linearOf(green), linearOf(blue)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function linearOf(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}
