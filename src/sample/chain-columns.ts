import type { Chain } from "../diffusion/index.ts";
import { input, type Tensor } from "../tensor/index.ts";

/** Per-sample numbers of one level of the chain, in the order they are fed. */
export const levelColumns = ["t", "alphaBar", "progress", "c1", "c2", "d1", "d2", "signal", "share", "inside"] as const;
/** Per-sample numbers of a transition. */
export const transitionColumns = ["sigma", "a", "s", "noise"] as const;

type Columns<Names extends readonly string[]> = Record<Names[number], Tensor>;

/** Level i of the chain. At the terminal level x is already clean: x̂ = x, and nothing follows. */
export function levelRow(chain: Chain, i: number): number[] {
  const level = chain.levels[i]!;
  if (i === chain.T) return [level.t, level.alphaBar, level.progress, 1, 0, 1, 0, 1, 1, 0];
  const { c1, c2, d1, d2 } = chain.steps[i]!;
  return [level.t, level.alphaBar, level.progress, c1, c2, d1, d2, Math.sqrt(level.alphaBar), level.share, 1];
}

export function transitionRow(chain: Chain, i: number): number[] {
  const { sigma, a, s, noise } = chain.steps[i]!;
  return [sigma, a, s, noise];
}

/** Rows for the step indices of a batch, [B, columns]. */
export function rowsOf(row: (i: number) => number[], indices: ArrayLike<number>): Float32Array {
  const columns = indices.length > 0 ? row(indices[0]!).length : 0;
  const rows = new Float32Array(indices.length * columns);
  for (let b = 0; b < indices.length; b++) rows.set(row(indices[b]!), b * columns);
  return rows;
}

/** One row for every sample of a batch that stands at the same step, [count, columns]. */
export function repeatedRow(row: readonly number[], count: number): Float32Array {
  const rows = new Float32Array(count * row.length);
  for (let k = 0; k < rows.length; k += row.length) rows.set(row, k);
  return rows;
}

/** Declares the input [B, K] and splits it into columns of shape [B, 1, …] with `rank` axes. */
export function columnsInput<Names extends readonly string[]>(
  name: string,
  names: Names,
  batch: number,
  rank: number,
): Columns<Names> {
  return splitColumns(input(name, [batch, names.length]), names, rank);
}

/** A table [B, K] as columns of shape [B, 1, …] with `rank` axes. */
export function splitColumns<Names extends readonly string[]>(
  table: Tensor,
  names: Names,
  rank: number,
): Columns<Names> {
  const shape = [table.shape[0]!, ...new Array<number>(rank - 1).fill(1)];
  return Object.fromEntries(names.map((n, k) => [n, table.slice(1, k, k + 1).reshape(shape)])) as Columns<Names>;
}
