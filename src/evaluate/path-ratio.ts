import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { levelRow, rowsOf } from "../sample/chain-columns.ts";
import type { Trajectories } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { guidedState } from "../sample/guided-state.ts";
import { sizeOf } from "../tensor/index.ts";
import type { SamplingParts } from "../train/prepare.ts";

/**
 * log π_θ/π_# of whole trajectories drawn from π_θ: Σ_i (‖x_{i+1} − μ_#‖² − ‖x_{i+1} − μ_θ‖²)/(2σ_i²). The trajectories
 * must keep their states and outputs.
 */
export async function logPathRatio(
  runtime: Runtime,
  parts: SamplingParts,
  paths: Trajectories,
  block: number,
): Promise<Float64Array> {
  const { model, chain, guidance } = parts;
  const size = sizeOf(model.shape);
  const conditions = await encodePrompts(runtime, model, paths.prompts, guidance);
  const state = guidedState(model, guidance, block);
  const program = await runtime.compile({ out: state.output(asConstants(model.weights)) });
  const total = new Float64Array(paths.count);
  for (let start = 0; start < paths.count; start += block) {
    const used = Math.min(block, paths.count - start);
    const own = Array.from({ length: block }, (_, b) => paths.prompts[start + Math.min(b, used - 1)]!);
    const fixed = conditions.feeds(own);
    for (let i = 0; i < chain.T; i++) {
      const { d1, d2, sigma } = chain.steps[i]!;
      const x = new Float32Array(block * size);
      x.set(paths.states[i]!.subarray(start * size, (start + used) * size));
      const columns = rowsOf((level) => levelRow(chain, level), new Array<number>(block).fill(i));
      const { out } = await program.run({ ...fixed, x, columns });
      for (let b = 0; b < used; b++) {
        for (let k = 0; k < size; k++) {
          const at = (start + b) * size + k;
          const xNext = paths.states[i + 1]![at]!;
          const base = xNext - d1 * paths.states[i]![at]!;
          const reference = base - d2 * out![b * size + k]!;
          const policy = base - d2 * paths.outputs[i]![at]!;
          total[start + b]! += (reference * reference - policy * policy) / (2 * sigma * sigma);
        }
      }
    }
  }
  await program.release();
  return total;
}
