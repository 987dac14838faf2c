import { grouped, powerOfTen, significant } from "./format.ts";

/** Places on an axis and what stands beside them. */
export interface Tick {
  value: number;
  label: string;
}

/** Round values 1, 2 or 5 × 10ⁿ apart within [low, high], about `count` of them, all with the same decimals. */
export function linearTicks(low: number, high: number, count = 5): Tick[] {
  if (!(high > low)) return [{ value: low, label: significant(low) }];
  const rough = (high - low) / count;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  // the step nearest to the rough one on a logarithmic scale: √2 lies between 1 and 2, √10 between 2 and 5, √50 between 5 and 10
  const between = [Math.SQRT2, Math.sqrt(10), Math.sqrt(50)].filter((limit) => rough / magnitude > limit).length;
  const step = [1, 2, 5, 10][between]! * magnitude;
  const decimals = Math.max(0, -Math.floor(Math.log10(step * 1.001)));
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const plain = decimals <= 4 && largest < 1e6;
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  // Steps that are lost beside the values (1e17 and 1e17 + 16), or that have no number themselves.
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last)) return [{ value: low, label: significant(low) }];
  const ticks: Tick[] = [];
  for (let k = first; k <= last; k++) {
    const value = k === 0 ? 0 : k * step;
    ticks.push({ value, label: plain ? grouped(value, decimals) : significant(value, 2) });
  }
  return ticks;
}

/** Powers of ten within [low, high], 0 < low ≤ high < ∞: every one, or every second, third … so that at most six stay. When fewer than three lie there, 2 × and 5 × as well. */
export function logTicks(low: number, high: number): Tick[] {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / 6));
  const multiples = last - first + 1 < 3 ? [1, 2, 5] : [1];
  const ticks: Tick[] = [];
  for (let exponent = first - 1; exponent <= last; exponent++) {
    if ((exponent - first) % every !== 0) continue;
    for (const multiple of multiples) {
      const value = multiple * 10 ** exponent;
      if (value < low * 0.999 || value > high * 1.001) continue;
      const plain = Math.abs(exponent) <= 3 || multiple !== 1;
      ticks.push({ value, label: plain ? significant(value, 1) : powerOfTen(exponent) });
    }
  }
  return ticks;
}
