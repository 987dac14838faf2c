import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { levelRow, repeatedRow } from "../sample/chain-columns.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { guidedState } from "../sample/guided-state.ts";
import { sizeOf } from "../tensor/index.ts";
import type { SamplingParts } from "../train/prepare.ts";

/** Means of the pretrained chain's steps. */
export interface ChainMeans {
  /** Writes μ_#(x_i) of every state of x to `means`, both [N, …shape] for any N. The network computes in float32. */
  at(i: number, x: Float64Array, means: Float64Array): Promise<void>;
  release(): Promise<void>;
}

/** Compiles the pretrained network, with guidance, for blocks of states of one prompt: μ_# = d₁x + d₂·out. */
export async function openChainMeans(
  runtime: Runtime,
  { model, chain, guidance }: SamplingParts,
  prompt: string,
  block: number,
): Promise<ChainMeans> {
  const conditions = await encodePrompts(runtime, model, [prompt], guidance);
  const feeds = conditions.feeds(new Array<string>(block).fill(prompt));
  const { output } = guidedState(model, guidance, block);
  const program = await runtime.compile({ out: output(asConstants(model.weights)) });
  const size = block * sizeOf(model.shape);
  return {
    async at(i, x, means) {
      const { d1, d2 } = chain.steps[i]!;
      const columns = repeatedRow(levelRow(chain, i), block);
      for (let start = 0; start < x.length; start += size) {
        const states = new Float32Array(size); // rows after the last state stay 0
        states.set(x.subarray(start, start + size));
        const { out } = await program.run({ ...feeds, x: states, columns });
        const used = Math.min(size, x.length - start);
        for (let k = 0; k < used; k++) means[start + k] = d1 * x[start + k]! + d2 * out![k]!;
      }
    },
    release: () => program.release(),
  };
}
