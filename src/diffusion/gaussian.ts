import { type Operand, type Tensor, vjp } from "../tensor/index.ts";

// The kernel π(xNext | x) = N(mean(x), std² I) in graphs. States are [B, …]; std is a number or [B, 1, …].

const HALF_LOG_2PI = Math.log(2 * Math.PI) / 2;

/** xNext = mean + std·z for z ~ N(0, I). */
export const sample = (mean: Tensor, std: Operand, z: Tensor): Tensor => mean.add(z.mul(std));

/** log π(xNext | x), [B]: −‖xNext − mean‖²/(2 std²) − d log std − (d/2) log 2π. */
export function logProb(xNext: Tensor, mean: Tensor, std: Operand): Tensor {
  const logStd = typeof std === "number" ? Math.log(std) : std.log();
  const perElement = xNext.sub(mean).div(std).square().mul(-0.5).sub(logStd).sub(HALF_LOG_2PI);
  return perElement.sum(perElement.shape.slice(1).map((_, axis) => axis + 1));
}

/** log π(xNext | x) per element, [B]: the scale on which clip ranges such as 1e-4 are given. */
export const meanLogProb = (xNext: Tensor, mean: Tensor, std: Operand): Tensor =>
  logProb(xNext, mean, std).mul(xNext.shape[0]! / xNext.size);

/** ∇_xNext log π = −(xNext − mean)/std². */
export const scoreNext = (xNext: Tensor, mean: Tensor, std: Operand): Tensor => mean.sub(xNext).div(std).div(std);

/** ∇_x log π = J(x)ᵀ (xNext − mean)/std² with J = ∂mean/∂x: one vector-Jacobian product through the network. */
export function scoreCurrent(x: Tensor, xNext: Tensor, mean: Tensor, std: Operand): Tensor {
  const cotangent = xNext.sub(mean).div(std).div(std);
  return vjp([mean], [cotangent], [x])[0]!;
}
