import type { NamedArrays } from "../../src/core/named-arrays.ts";
import { asConstants } from "../../src/nn/index.ts";
import { constant, evaluate, fill } from "../../src/tensor/index.ts";
import type { Parts } from "../../src/train/prepare.ts";

export type Row = readonly number[];
/** A network, or what follows from it, at one state x_i. */
export type AtState = (x: Row, i: number) => Row;

/** The networks of a world in float64, one state at a time: nothing of the graphs that are under test. */
export interface PlainNetworks {
  /** Output of the denoiser: of the policy with these parameters, or of the frozen one. */
  out(policy?: NamedArrays): AtState;
  flow(params: NamedArrays): AtState;
  /** x̂ and μ of an output. */
  x0Hat(out: AtState): AtState;
  mean(out: AtState): AtState;
}

export function plainNetworks({ model, chain }: Parts): PlainNetworks {
  const frozen = asConstants(model.weights);
  const tokens = constant(model.tokenize([""]), [1, model.tokenLength]);
  const condition = model.encode(frozen, tokens);
  const state = (x: Row) => constant(Float64Array.from(x) as unknown as Float32Array, [1, x.length]);
  const time = (i: number) => {
    const { t, alphaBar, progress } = chain.levels[i]!;
    return { t: fill([1], t), alphaBar: fill([1], alphaBar), progress: fill([1], progress) };
  };
  const linear =
    (out: AtState, of: (step: (typeof chain.steps)[number]) => readonly [number, number]): AtState =>
    (x, i) => {
      const [p, q] = of(chain.steps[i]!);
      const y = out(x, i);
      return x.map((v, d) => p * v + q * y[d]!);
    };
  return {
    out: (policy) => {
      const params = policy ? { ...frozen, ...asConstants(policy) } : frozen;
      return (x, i) => [...evaluate([model.predict(params, state(x), time(i), condition)])[0]!];
    },
    flow: (params) => (x, i) => [
      ...evaluate([model.flow.predict(asConstants(params), state(x), time(i), condition)])[0]!,
    ],
    x0Hat: (out) => linear(out, ({ c1, c2 }) => [c1, c2]),
    mean: (out) => linear(out, ({ d1, d2 }) => [d1, d2]),
  };
}

const h = 1e-4;

/** (∂f/∂x)ᵀ v at x_i by central differences. */
export const pulledBack = (f: AtState, x: Row, i: number, v: Row): number[] =>
  x.map((_, d) => {
    const at = (step: number) =>
      f(
        x.map((value, e) => (e === d ? value + step : value)),
        i,
      );
    const [above, below] = [at(h), at(-h)];
    return v.reduce((sum, w, e) => sum + (w * (above[e]! - below[e]!)) / (2 * h), 0);
  });

/** Central differences of a loss by every number of its parameters. */
export function differences(loss: (params: NamedArrays) => number, at: NamedArrays): number[] {
  return Object.entries(at).flatMap(([name, { shape, data }]) =>
    Array.from(data, (value, k) => {
      const moved = (step: number) => {
        const array = Float64Array.from(data);
        array[k] = value + step;
        return loss({ ...at, [name]: { shape, data: array as unknown as Float32Array } });
      };
      return (moved(h) - moved(-h)) / (2 * h);
    }),
  );
}

/** Mean of squares of all numbers of some rows. */
export const meanSquare = (rows: readonly Row[]): number => {
  const all = rows.flat();
  return all.reduce((sum, v) => sum + v * v, 0) / all.length;
};
