import { ConfigError } from "../../core/errors.ts";
import type { NamedArray } from "../../core/named-arrays.ts";
import { type Lora, type LoraModule, loraDelta, scaledUp } from "./lora.ts";

/** A LoRA and how strongly it counts in a sum. */
export interface Weighted {
  readonly lora: Lora;
  readonly weight: number;
}

/**
 * The LoRA that adds Σ weightᵢ · ΔWᵢ, exactly: the rows of all A, and the columns of all B with weight · alpha/rank in
 * them. The rank is the sum of the ranks, and alpha = rank. Throws ConfigError for modules of different shapes.
 */
export function sumOfLoras(summands: readonly Weighted[]): Lora {
  const names = new Set(summands.flatMap(({ lora }) => Object.keys(lora)));
  const sum = [...names].sort().map((name): [string, LoraModule] => {
    const parts = summands.flatMap(({ lora, weight }) => (lora[name] ? [{ module: lora[name], weight }] : []));
    const [first] = parts;
    for (const { module } of parts) sameShape(name, first!.module, module);
    const rank = parts.reduce((total, { module }) => total + module.rank, 0);
    const down = concatenatedRows(parts.map(({ module }) => module.down));
    const up = concatenatedColumns(parts.map(({ module, weight }) => scaledUp(module, weight)));
    return [name, { down, up, alpha: rank, rank }];
  });
  return Object.fromEntries(sum);
}

function sameShape(name: string, a: LoraModule, b: LoraModule): void {
  const shape = ({ down, up }: LoraModule) => `[${[up.shape[0], ...down.shape.slice(1)]}]`;
  if (shape(a) !== shape(b)) {
    throw new ConfigError(
      `LoRAs can be combined when they are for the same network, but ${name} is ${shape(a)} in one and ${shape(b)} in another.`,
    );
  }
}

/** [r₁, …] and [r₂, …] to [r₁ + r₂, …]. */
function concatenatedRows(arrays: readonly NamedArray[]): NamedArray {
  const data = new Float32Array(arrays.reduce((total, array) => total + array.data.length, 0));
  let at = 0;
  for (const array of arrays) {
    data.set(array.data, at);
    at += array.data.length;
  }
  return { shape: [arrays.reduce((rows, { shape }) => rows + shape[0]!, 0), ...arrays[0]!.shape.slice(1)], data };
}

/** [out, r₁, 1, 1] and [out, r₂, 1, 1] to [out, r₁ + r₂, 1, 1]. */
function concatenatedColumns(arrays: readonly NamedArray[]): NamedArray {
  const [outputs, , ...ones] = arrays[0]!.shape;
  const columns = arrays.reduce((total, { shape }) => total + shape[1]!, 0);
  const data = new Float32Array(outputs! * columns);
  let at = 0;
  for (const { shape, data: from } of arrays) {
    const width = shape[1]!;
    for (let o = 0; o < outputs!; o++) data.set(from.subarray(o * width, (o + 1) * width), o * columns + at);
    at += width;
  }
  return { shape: [outputs!, columns, ...ones], data };
}

export interface ModuleDifference {
  module: string;
  /** max |ΔW_a − ΔW_b| / max(|ΔW_a|, |ΔW_b|) over the elements; 0 where both add nothing, 1 where one does. */
  difference: number;
}

/**
 * How differently two LoRAs change a network. W₀ + ΔW_a and W₀ + ΔW_b differ by ΔW_a − ΔW_b whatever W₀ is, so that no
 * weights of the network enter. Throws ConfigError when they are for different networks.
 */
export function compareLoras(a: Lora, b: Lora): ModuleDifference[] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].sort().map((module) => {
    const [left, right] = [a[module], b[module]];
    if (left && right) sameShape(module, left, right);
    const [p, q] = [left && loraDelta(left).data, right && loraDelta(right).data];
    let largest = 0;
    let apart = 0;
    for (let k = 0; k < (p ?? q)!.length; k++) {
      const [x, y] = [p?.[k] ?? 0, q?.[k] ?? 0];
      largest = Math.max(largest, Math.abs(x), Math.abs(y));
      apart = Math.max(apart, Math.abs(x - y));
    }
    return { module, difference: largest === 0 ? 0 : apart / largest };
  });
}
