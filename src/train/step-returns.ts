import { sizeOf } from "../tensor/index.ts";
import { emptyReturns, type ReturnSources, type Returns, runAt } from "./return-programs.ts";
import type { TransitionIndex } from "./transitions.ts";

/**
 * k-step targets of drawn transitions x_i → x_{i+1} (docs/methods.md E.8), with e = min(i + k, T):
 *   R_i = J_#(x_i)ᵀ A_{i+1},   A_{i+1} = J_#(x_{i+1})ᵀ … J_#(x_{e−1})ᵀ h_e(x_e).
 * k = 1 bootstraps at once; k ≥ T is the lean adjoint. Transitions of different steps share a block.
 */
export async function stepReturns(
  sources: ReturnSources,
  steps: number,
  chosen: readonly TransitionIndex[],
): Promise<Returns> {
  const { programs, parts } = sources;
  const { block } = programs;
  const size = sizeOf(parts.model.shape);
  const { T } = parts.chain;
  const returns = emptyReturns(sources);
  const distinct = [...new Map(chosen.map((t) => [t.trajectory * T + t.i, t])).values()];
  for (let start = 0; start < distinct.length; start += block) {
    const used = distinct.slice(start, start + block);
    const rows = Array.from({ length: block }, (_, b) => used[Math.min(b, used.length - 1)]!);
    const stateAfter = (m: number) => rows.map(({ trajectory, i }) => ({ trajectory, level: Math.min(i + m, T) }));
    const put = (to: readonly Float32Array[], from: Float32Array) =>
      used.forEach(({ trajectory, i }, b) => {
        to[i]!.set(from.subarray(b * size, (b + 1) * size), trajectory * size);
      });
    let adjoint: Float32Array = (await runAt(sources, programs.value, stateAfter(steps))).value!.slice();
    for (let m = Math.min(steps, T) - 1; m >= 0; m--) {
      if (m === 0) put(returns.next, adjoint);
      const pulled = (await runAt(sources, programs.step, stateAfter(m), adjoint)).pulledBack!;
      // at x_T there is nothing to go back through yet
      adjoint = pulled.map((value, j) => (rows[Math.floor(j / size)]!.i + m < T ? value : adjoint[j]!));
    }
    put(returns.pulledBack, adjoint);
  }
  return returns;
}
