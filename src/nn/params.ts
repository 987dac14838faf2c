import type { NamedArrays } from "../core/named-arrays.ts";
import type { Rng } from "../core/rng.ts";
import { constant, input, type Shape, sizeOf, type Tensor } from "../tensor/index.ts";

/** Named tensors of a network, in safetensors naming (`down_blocks.0.resnets.0.conv1.weight`). */
export type Params = Readonly<Record<string, Tensor>>;

/** How one parameter starts: its shape and a distribution. */
export interface ParamSpec {
  shape: Shape;
  init: "zeros" | "ones" | { uniform: number } | { normal: number };
}
export type ParamSpecs = Readonly<Record<string, ParamSpec>>;

/** Draws initial values; the same seed and names give the same numbers, whatever the order of the names. */
export function initialize(specs: ParamSpecs, rng: Rng): NamedArrays {
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape, init }]) => {
      const n = sizeOf(shape);
      const at = { purpose: "init", sample: hashName(name) } as const;
      let data: Float32Array;
      if (init === "zeros") data = new Float32Array(n);
      else if (init === "ones") data = new Float32Array(n).fill(1);
      else if ("uniform" in init) data = Float32Array.from(rng.uniform(n, at), (u) => (2 * u - 1) * init.uniform);
      else data = rng.normal(n, at).map((z) => z * init.normal);
      return [name, { shape, data }];
    }),
  );
}

/** FNV-1a, so that a parameter's stream depends on its name alone. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Frozen parameters: constants of the graph. Those that lie in files stay there. */
export const asConstants = (arrays: NamedArrays): Params =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, array]) => [name, constant(array.file ?? array.data, array.shape)]),
  );

/** Trained parameters: inputs of the graph named `prefix + name`. */
export const asInputs = (arrays: NamedArrays, prefix: string): Params =>
  Object.fromEntries(Object.entries(arrays).map(([name, { shape }]) => [name, input(prefix + name, shape)]));
