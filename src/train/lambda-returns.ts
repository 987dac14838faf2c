import { sizeOf } from "../tensor/index.ts";
import { emptyReturns, type ReturnSources, type Returns, runAt } from "./return-programs.ts";

/**
 * TD(λ) targets along sampled trajectories (docs/methods.md E.8):
 *   A_T = h_T,   R_j = J_#(x_j)ᵀ A_{j+1},   A_j = (1 − λ) h_j(x_j) + λ R_j.
 * λ = 1 is the lean adjoint of adjoint matching, which looks at the reward at x_T alone.
 */
export async function lambdaReturns(sources: ReturnSources, lambda: number): Promise<Returns> {
  const { programs, parts, trajectories } = sources;
  const size = sizeOf(parts.model.shape);
  const { T } = parts.chain;
  const { count } = trajectories;
  const { block } = programs;
  const returns = emptyReturns(sources);
  for (let start = 0; start < count; start += block) {
    const used = Math.min(block, count - start);
    const rowsAt = (level: number) =>
      Array.from({ length: block }, (_, b) => ({ trajectory: start + Math.min(b, used - 1), level }));
    const put = (to: Float32Array, from: Float32Array) => to.set(from.subarray(0, used * size), start * size);
    let adjoint: Float32Array = (await runAt(sources, programs.value, rowsAt(T))).value!.slice();
    for (let j = T - 1; j >= 0; j--) {
      put(returns.next[j]!, adjoint);
      const { value, pulledBack: pulled } = await runAt(sources, programs.step, rowsAt(j), adjoint);
      put(returns.pulledBack[j]!, pulled!);
      adjoint = value ? value.map((h, k) => (1 - lambda) * h + lambda * pulled![k]!) : pulled!.slice();
    }
  }
  return returns;
}
