import type { NamedArrays } from "../../src/core/named-arrays.ts";
import type { Model, Time } from "../../src/models/index.ts";
import type { Params } from "../../src/nn/index.ts";
import { constant, type Tensor } from "../../src/tensor/index.ts";
import type { Parts } from "../../src/train/prepare.ts";

/** A world in one dimension whose networks are lines: ε_θ = ε_# + a_i x + b_i and g_φ = a_i x + b_i at step i, tables [T, 2]. */
export function linear(parts: Parts): Parts {
  const { chain, model } = parts;
  const table = (): NamedArrays => linesOf(chain.steps.map(() => [0, 0]));
  const own: Model = {
    ...model,
    predict(params, x, time, condition) {
      const eps = model.predict(params, x, time, condition);
      return params.lines ? eps.add(lineAt(params, x, time, chain.T)) : eps;
    },
    flow: { init: table, predict: (params, x, time) => lineAt(params, x, time, chain.T) },
  };
  const adaptation = { init: table, bind: (frozen: Params, trained: Params) => ({ ...frozen, ...trained }) };
  return { ...parts, model: own, adaptation };
}

/** Row i = T·progress of the table by hat functions; zero at the terminal state. */
function lineAt({ lines }: Params, x: Tensor, { progress }: Time, T: number): Tensor {
  const steps = constant(
    Float32Array.from({ length: T }, (_, i) => i),
    [1, T],
  );
  const hats = progress.reshape([-1, 1]).mul(T).sub(steps).abs().neg().add(1).relu(); // [B, T]
  const row = hats.matmul(lines!); // [B, 2]
  return x.mul(row.slice(1, 0, 1)).add(row.slice(1, 1, 2));
}

/** A table from its rows [slope, offset]. */
export const linesOf = (rows: readonly (readonly number[])[]): NamedArrays => ({
  lines: { shape: [rows.length, 2], data: Float32Array.from(rows.flat()) },
});
