import { z } from "zod";
import type { Kernel } from "../kernel.ts";
import { flowLevel, type Level } from "../level.ts";
import { commonOptions, defineSampler } from "../sampler.ts";

/**
 * Memoryless noise g² = 2t/(1−t) [domingo2025adjoint], the linear part of the SDE integrated exactly, so that the first
 * step from t = 1 is finite. With a = 1−t and b = 1−t' (prime = next level):
 * mean = (a/b) x − (b²−a²)/b · v,  σ² = (2/b²) ((b²−a²)/2 − (b³−a³)/3),  v = eps − x0Hat
 */
export function memorylessKernel({ t }: Level, next: Level): Kernel {
  const a = 1 - t;
  const b = 1 - next.t;
  const v = -(b * b - a * a) / b;
  const variance = (2 / (b * b)) * ((b * b - a * a) / 2 - (b ** 3 - a ** 3) / 3);
  return { x: a / b, x0Hat: -v, eps: v, std: Math.sqrt(variance) };
}

/**
 * Euler–Maruyama with Flow-GRPO's noise g² = scale² t/(1−t) [liu2025flowgrpo]; at t = 1 the denominator is that of the
 * next level. With Δ = t − t': mean = x (1 − g²Δ/(2t)) − vΔ (1 + g²(1−t)/(2t)),  σ² = g²Δ
 */
export function eulerKernel({ t }: Level, next: Level, scale: number): Kernel {
  const delta = t - next.t;
  const g2 = (scale * scale * t) / (1 - (t < 1 ? t : next.t));
  const v = -delta * (1 + (g2 * (1 - t)) / (2 * t));
  return { x: 1 - (g2 * delta) / (2 * t), x0Hat: -v, eps: v, std: Math.sqrt(g2 * delta) };
}

/** Rectified flow as a stochastic chain, t from 1 to 0 in equal steps. Networks predict the velocity v = z − x0. */
export const flow = defineSampler({
  kind: "flow",
  summary: "rectified flow with noise: memoryless, or Flow-GRPO's scale",
  options: z.strictObject({
    ...commonOptions,
    /** `memoryless` forgets the initial noise; a number is Flow-GRPO's noise scale (0.7 there), which does not. */
    noise: z.union([z.literal("memoryless"), z.number().positive()]).default("memoryless"),
  }),
  predictions: ["velocity", "sample"],
  levels: ({ steps }) => Array.from({ length: steps + 1 }, (_, i) => flowLevel(1 - i / steps)),
  kernel: (level, next, { noise }) =>
    noise === "memoryless" ? memorylessKernel(level, next) : eulerKernel(level, next, noise),
  stochastic: () => true,
  reversesMarkov: ({ noise }) => noise === "memoryless",
});
