import type { Emitter } from "../operator.ts";

/** π in three parts whose products with small integers float32 holds exactly, so that x − qπ keeps its digits (Cody and Waite). */
const PI_PARTS = [3.140625, 0.0009675025939941406, 1.5099579909783765e-7];

/** Of the series of sin r, which is exact to 6e-8 for |r| ≤ π/2: −1/3!, 1/5!, … −1/11! */
const SERIES = [-1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800];

/**
 * sin or cos out of sums and products, for backends whose own lack digits. With h = 0 for sin and 1/2 for cos,
 *   k = round(x/π − h),   r = x − (k + h)π in [−π/2, π/2],   sin x = (−1)^k sin r,   cos x = −(−1)^k sin r.
 */
export function emitSine(e: Emitter, x: string, name: "sin" | "cos"): string {
  const number = (value: number) => e.floats([value], []);
  const multiplied = (a: string, value: number) => e.node("Mul", [a, number(value)]);
  const plus = (a: string, value: number) => e.node("Add", [a, number(value)]);
  const h = name === "sin" ? 0 : 0.5;
  const k = e.node("Floor", [plus(multiplied(x, 1 / Math.PI), 0.5 - h)]);
  const q = h === 0 ? k : plus(k, h);
  const r = PI_PARTS.reduce((rest, part) => e.node("Sub", [rest, multiplied(q, part)]), x);
  const square = e.node("Mul", [r, r]);
  const [last, ...others] = [...SERIES].reverse();
  const series = others.reduce((sum, c) => plus(e.node("Mul", [sum, square]), c), number(last!));
  const sine = e.node("Add", [r, e.node("Mul", [r, e.node("Mul", [square, series])])]);
  const odd = e.node("Sub", [k, multiplied(e.node("Floor", [multiplied(k, 0.5)]), 2)]); // 0 or 1
  const sign = name === "sin" ? plus(multiplied(odd, -2), 1) : plus(multiplied(odd, 2), -1);
  return e.node("Mul", [sine, sign]);
}
