import { ConfigError, ShapeError } from "../core/errors.ts";
import { cloneArrays, type NamedArrays } from "../core/named-arrays.ts";

/** Exponential moving average of parameters: average ← decay·average + (1 − decay)·parameters, from a copy of the first. */
export class Ema {
  /** The averages, changed in place by `update`. */
  readonly arrays: NamedArrays;
  readonly decay: number;

  constructor(params: NamedArrays, decay: number) {
    if (!(decay >= 0 && decay < 1)) throw new ConfigError(`An EMA decay lies in [0, 1), but ${decay} came.`);
    this.arrays = cloneArrays(params);
    this.decay = decay;
  }

  update(params: NamedArrays): void {
    for (const [name, { data: average }] of Object.entries(this.arrays)) {
      const data = params[name]?.data;
      if (data?.length !== average.length) {
        throw new ShapeError(
          `Ema: "${name}" holds ${average.length} values, but ${data ? data.length : "none"} came to average.`,
        );
      }
      for (let i = 0; i < average.length; i++) average[i]! += (1 - this.decay) * (data[i]! - average[i]!);
    }
  }
}
