const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A number to `digits` significant digits, as people read it: 4.21, 1,250, −0.0310, 2.10×10⁻⁵. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  if (exponent < -4 || exponent > 5) {
    return `${withMinus((value / 10 ** exponent).toFixed(digits - 1))}×${powerOfTen(exponent)}`;
  }
  return grouped(value, Math.max(0, digits - 1 - exponent));
}

/** The same with its sign in front: +2.67, −0.0310. */
export const signed = (value: number, digits = 3): string => `${value > 0 ? "+" : ""}${significant(value, digits)}`;

/** A number with a fixed count of decimals and commas between thousands. */
export const grouped = (value: number, decimals = 0): string =>
  withMinus(value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));

/** 10⁻⁵ */
export const powerOfTen = (exponent: number): string =>
  `10${exponent < 0 ? "⁻" : ""}${[...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]!).join("")}`;

/** A ratio in percent, 0.923 → 92 % (narrow space). Below one percent it keeps a decimal. */
export function percent(ratio: number): string {
  const value = ratio * 100;
  return `${grouped(value, value !== 0 && Math.abs(value) < 1 ? 1 : 0)}\u202f%`;
}

/** A count with its noun: 1 image, 1,440 images. */
export const counted = (count: number, noun: string): string => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;

/** A duration in its two largest units: 48 s, 3 min 5 s, 2 h 14 min. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds < 10 ? significant(seconds, 2) : whole}\u202fs`;
  const [large, small, units] =
    whole < 3600 ? [Math.floor(whole / 60), whole % 60, ["min", "s"]] : hoursAndMinutes(Math.round(whole / 60));
  return `${grouped(large)}\u202f${units[0]}${small > 0 ? ` ${small}\u202f${units[1]}` : ""}`;
}

const hoursAndMinutes = (minutes: number): [number, number, string[]] => [
  Math.floor(minutes / 60),
  minutes % 60,
  ["h", "min"],
];

const withMinus = (text: string): string => text.replace("-", "−");
