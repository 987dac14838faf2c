import type { NamedArrays } from "../../src/core/named-arrays.ts";
import type { Condition, Model, Time } from "../../src/models/index.ts";
import type { Params } from "../../src/nn/index.ts";
import { constant, type Tensor } from "../../src/tensor/index.ts";
import type { Parts } from "../../src/train/prepare.ts";

/**
 * The same world with tables in place of networks: ε_θ = ε_# + policy[i], g_φ = flow[i] at step i = 0 … T−1, with T rows
 * for each prompt, one prompt after the other. Where the answer does not depend on x, it lies in this class exactly.
 */
export function tabular(parts: Parts): Parts {
  const { chain, model } = parts;
  const D = model.shape[0]!;
  const rows = Object.keys(model.prior!).length * chain.T;
  const table = (): NamedArrays => ({ table: { shape: [rows, D], data: new Float32Array(rows * D) } });
  const withTables: Model = {
    ...model,
    predict(params, x, time, condition) {
      const eps = model.predict(params, x, time, condition);
      return params.table ? eps.add(rowAt(params, time, condition, chain.T)) : eps;
    },
    flow: { init: table, predict: (params, _, time, condition) => rowAt(params, time, condition, chain.T) },
  };
  return {
    ...parts,
    model: withTables,
    adaptation: { init: table, bind: (frozen, trained) => ({ ...frozen, ...trained }) },
  };
}

/** Row i = T·progress of the prompt's part of the table, by hat functions; zero at the terminal state. */
function rowAt({ table }: Params, { progress }: Time, { prompt }: Condition, T: number): Tensor {
  const steps = constant(
    Float32Array.from({ length: T }, (_, i) => i),
    [1, 1, T],
  );
  const hats = progress.reshape([-1, 1, 1]).mul(T).sub(steps).abs().neg().add(1).relu(); // [B, 1, T]
  const [B, P] = prompt!.shape as [number, number];
  return hats
    .mul(prompt!.reshape([B, P, 1]))
    .reshape([B, P * T])
    .matmul(table!);
}

/** A table from its rows. */
export const tableOf = (rows: readonly (readonly number[])[]): NamedArrays => ({
  table: { shape: [rows.length, rows[0]!.length], data: Float64Array.from(rows.flat()) as unknown as Float32Array },
});
