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

/** Euler–Maruyama for any g². With Δ = t − t': mean = x (1 − g²Δ/(2t)) − vΔ (1 + g²(1−t)/(2t)),  σ² = g²Δ */
export function eulerKernel({ t }: Level, next: Level, g2: number): Kernel {
  const delta = t - next.t;
  const v = -delta * (1 + (g2 * (1 - t)) / (2 * t));
  return { x: 1 - (g2 * delta) / (2 * t), x0Hat: -v, eps: v, std: Math.sqrt(g2 * delta) };
}

const noiseOption = z
  .union([
    z.enum(["memoryless", "memoryless-euler"]),
    z.number().nonnegative(),
    z.strictObject({ constant: z.number().positive() }),
  ])
  .default("memoryless")
  .describe(
    "memoryless; a number a for Flow-GRPO's g² = a² t/(1−t), 0 = the ODE, which evaluates but does not train; {constant: g}; memoryless-euler for comparison",
  );
type FlowNoise = z.output<typeof noiseOption>;

/** g²; where it is infinite, at t = 1, 1−t is capped by one step of the grid. */
function noisePower(noise: Exclude<FlowNoise, "memoryless">, { t }: Level, next: Level): number {
  if (typeof noise === "object") return noise.constant ** 2; // [xue2025dancegrpo]: 0.3²
  const ratio = t / (1 - (t < 1 ? t : next.t));
  return (noise === "memoryless-euler" ? 2 : noise * noise) * ratio; // [liu2025flowgrpo]: 0.7² t/(1−t)
}

/**
 * Rectified flow as a chain, t from 1 to 0 in equal steps. Networks predict the velocity v = z − x0. With `memoryless`
 * noise the end forgets the start; Euler–Maruyama with the same g² does too, but its first states are too wide at any
 * number of steps, so that a learned network is asked about states it has not seen.
 */
export const flow = defineSampler({
  kind: "flow",
  summary: "rectified flow with noise: memoryless, Flow-GRPO's scale, constant, or none",
  options: z.strictObject({ ...commonOptions, noise: noiseOption }),
  predictions: ["velocity"],
  levels: ({ steps }) => Array.from({ length: steps + 1 }, (_, i) => flowLevel(1 - i / steps)),
  kernel: (level, next, { noise }) =>
    noise === "memoryless" ? memorylessKernel(level, next) : eulerKernel(level, next, noisePower(noise, level, next)),
  stochastic: ({ noise }) => noise !== 0,
  reversesMarkov: ({ noise }) => noise === "memoryless" || noise === "memoryless-euler",
  ode: (options) => ({ kind: "flow", ...options, noise: 0 }),
});
