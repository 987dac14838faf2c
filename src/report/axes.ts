import { type Html, html } from "./html.ts";
import { linearTicks, logTicks, type Tick } from "./ticks.ts";

/** The part of a drawing where the data lies, in its own units; y grows downwards. */
export interface Plot {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** The values an axis covers. */
export interface Domain {
  low: number;
  high: number;
  log: boolean;
  ticks: Tick[];
}

/** The least and the largest of the finite values. */
export function extent(values: readonly number[]): [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

/** Whether values span two decades or more, all above zero: then their axis is logarithmic. */
export function spansDecades(values: readonly number[]): boolean {
  const [low, high] = extent(values);
  return low > 0 && high / low >= 100;
}

/** An axis over the values with a little room around them, `room` being a share of their range. */
export function linearDomain(values: readonly number[], room: number, tickCount = 5): Domain {
  const [least, most] = extent(values);
  const around = most > least ? (most - least) * room : (Math.abs(most) || 1) * 0.1; // a single value gets a range
  const low = least === 0 ? 0 : least - around;
  const high = most + around;
  return { low, high, log: false, ticks: linearTicks(low, high, tickCount) };
}

export function logDomain(values: readonly number[], room: number): Domain {
  const [least, most] = extent(values);
  const around = (most / least) ** room;
  const [low, high] = [Math.max(least / around, Number.MIN_VALUE), Math.min(most * around, Number.MAX_VALUE)];
  return { low, high, log: true, ticks: logTicks(low, high) };
}

/** Maps values of a domain to places between `from` and `to`, rounded to tenths to keep drawings small. */
export function scaleOf({ low, high, log }: Domain, from: number, to: number): (value: number) => number {
  const on = log ? Math.log : (value: number) => value;
  return (value) => tenths(from + ((on(value) - on(low)) / (on(high) - on(low))) * (to - from));
}

export const tenths = (value: number): number => Math.round(value * 10) / 10;

/** Grid lines with their labels, and a base line with ticks, for both axes. */
export function axes(plot: Plot, x: Domain, y: Domain): Html {
  const toX = scaleOf(x, plot.left, plot.right);
  const toY = scaleOf(y, plot.bottom, plot.top);
  return html`${y.ticks.map(({ value, label }) => {
    const at = toY(value);
    return html`<path class="grid" d="M${plot.left} ${at}H${plot.right}"/><text x="${plot.left - 6}" y="${tenths(at + 4)}" text-anchor="end">${label}</text>`;
  })}
${x.ticks.map(({ value, label }) => {
  const at = toX(value);
  return html`<path class="axis" d="M${at} ${plot.bottom}v4"/><text x="${at}" y="${plot.bottom + 18}" text-anchor="middle">${label}</text>`;
})}
<path class="axis" d="M${plot.left} ${plot.bottom}H${plot.right}"/>`;
}
