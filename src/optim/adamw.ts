import { ConfigError, ShapeError } from "../core/errors.ts";
import type { NamedArray, NamedArrays } from "../core/named-arrays.ts";

export interface AdamWOptions {
  betas?: readonly [beta1: number, beta2: number];
  eps?: number;
  /** Decoupled: each step multiplies a parameter by 1 − lr·weightDecay. */
  weightDecay?: number;
}

/** All of an optimizer that a checkpoint keeps: moments `m/NAME` and `v/NAME`, and the number of steps done. */
export interface AdamWState {
  steps: number;
  moments: NamedArrays;
}

interface Moments {
  m: Float32Array;
  v: Float32Array;
}

/**
 * AdamW [loshchilov2019adamw]: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − lr·(weightDecay·p + m̂/(√v̂ + eps)) with
 * m̂ = m/(1−β₁ᵏ), v̂ = v/(1−β₂ᵏ) at step k. Parameters are changed in place; moments are float32, zero at first.
 */
export class AdamW {
  readonly #beta1: number;
  readonly #beta2: number;
  readonly #eps: number;
  readonly #weightDecay: number;
  readonly #moments = new Map<string, Moments>();
  #steps = 0;

  constructor({ betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamWOptions = {}) {
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)) {
      throw new ConfigError(`AdamW takes betas in [0, 1), but ${beta1} and ${beta2} came.`);
    }
    if (!(eps > 0 && weightDecay >= 0)) {
      throw new ConfigError(`AdamW takes eps > 0 and weightDecay ≥ 0, but ${eps} and ${weightDecay} came.`);
    }
    this.#beta1 = beta1;
    this.#beta2 = beta2;
    this.#eps = eps;
    this.#weightDecay = weightDecay;
  }

  /** Steps done. */
  get steps(): number {
    return this.#steps;
  }

  /** One step for every parameter. `gradients` has the same names and sizes; throws ShapeError before any change. */
  step(params: NamedArrays, gradients: NamedArrays, lr: number): void {
    const work = Object.entries(params).map(([name, { data }]) => {
      const g = gradients[name]?.data;
      if (g?.length !== data.length) {
        throw new ShapeError(
          `AdamW: parameter "${name}" of ${data.length} values needs a gradient as large, but ${g ? g.length : "none"} came.`,
        );
      }
      return { p: data, g, ...this.#momentsOf(name, data.length) };
    });
    this.#steps++;
    const [b1, b2] = [this.#beta1, this.#beta2];
    const keep = 1 - lr * this.#weightDecay;
    // lr·m̂/(√v̂ + eps) = rate·m/(√v + floor): the corrections are taken out of the loop
    const root = Math.sqrt(1 - b2 ** this.#steps);
    const rate = (lr * root) / (1 - b1 ** this.#steps);
    const floor = this.#eps * root;
    for (const { p, g, m, v } of work) {
      for (let i = 0; i < p.length; i++) {
        const gi = g[i]!;
        const mi = b1 * m[i]! + (1 - b1) * gi;
        const vi = b2 * v[i]! + (1 - b2) * gi * gi;
        m[i] = mi;
        v[i] = vi;
        p[i] = keep * p[i]! - (rate * mi) / (Math.sqrt(vi) + floor);
      }
    }
  }

  /** What a checkpoint keeps. The arrays are the optimizer's own: copy them to keep them past the next step. */
  exportState(): AdamWState {
    const moments: Record<string, NamedArray> = {};
    for (const [name, { m, v }] of this.#moments) {
      moments[`m/${name}`] = { shape: [m.length], data: m };
      moments[`v/${name}`] = { shape: [v.length], data: v };
    }
    return { steps: this.#steps, moments };
  }

  /** Takes over a copy of `state`; what was there is forgotten. Throws ConfigError when a moment lacks its other half. */
  importState({ steps, moments }: AdamWState): void {
    const taken = new Map<string, Moments>();
    for (const [key, { data }] of Object.entries(moments)) {
      const name = key.slice(2);
      const other = moments[`${key.startsWith("m/") ? "v" : "m"}/${name}`];
      if (!/^[mv]\//.test(key) || other?.data.length !== data.length) {
        throw new ConfigError(`Optimizer state: "${key}" has no second moment of the same size. Is the file complete?`);
      }
      if (key.startsWith("m/")) taken.set(name, { m: data.slice(), v: other.data.slice() });
    }
    this.#moments.clear();
    for (const [name, value] of taken) this.#moments.set(name, value);
    this.#steps = steps;
  }

  #momentsOf(name: string, size: number): Moments {
    let found = this.#moments.get(name);
    if (!found) {
      found = { m: new Float32Array(size), v: new Float32Array(size) };
      this.#moments.set(name, found);
    }
    if (found.m.length !== size) {
      throw new ShapeError(`AdamW: the moments of "${name}" hold ${found.m.length} values, but it has ${size}.`);
    }
    return found;
  }
}
