import { ConfigError } from "../core/errors.ts";
import { matchesGlob } from "../core/glob.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { nearest } from "../core/nearest.ts";
import type { ParamSpecs, Params } from "./params.ts";

/**
 * Low-rank additions W + scale·B·A [hu2022lora] for the modules of a network whose names match one of `targets`. In a
 * target, `*` stands for any characters: `*.to_q`. A linear module gets A [rank,in] and B [out,rank], a convolution
 * A [rank,in,kh,kw] and B [out,rank,1,1]. A starts normal with std 1/rank (peft's "gaussian"), B at zero, so that the
 * network starts unchanged. Embedding tables have no low-rank form here. Throws ConfigError for a target without a match.
 */
export function loraSpecs(weights: NamedArrays, targets: readonly string[], rank: number): ParamSpecs {
  if (!Number.isInteger(rank) || rank < 1) throw new ConfigError(`A LoRA rank is a positive integer, not ${rank}.`);
  const modules = modulesOf(weights);
  const chosen = new Set(targets.flatMap((target) => matching(target, [...modules.keys()])));
  const specs: Record<string, ParamSpecs[string]> = {};
  for (const [module, [outputs, inputs, ...kernel]] of modules) {
    if (!chosen.has(module)) continue;
    specs[`${module}.lora_A.weight`] = { shape: [rank, inputs, ...kernel], init: { normal: 1 / rank } };
    specs[`${module}.lora_B.weight`] = { shape: [outputs, rank, ...kernel.map(() => 1)], init: "zeros" };
  }
  return specs;
}

/** Frozen parameters with low-rank additions in force: `linear` and `conv` add scale·B·A·x. */
export function withLora(frozen: Params, lora: Params, scale: number): Params {
  const bound = Object.entries(lora).map(([name, tensor]) => {
    const module = name.replace(/\.lora_[AB]\.weight$/, "");
    if (module === name || !frozen[`${module}.weight`]) {
      throw new ConfigError(
        `LoRA parameter "${name}" belongs to no module of the network. Was it made for another network, or with another prefix?`,
      );
    }
    return [name, name.endsWith(".lora_B.weight") && scale !== 1 ? tensor.mul(scale) : tensor] as const;
  });
  return { ...frozen, ...Object.fromEntries(bound) };
}

type WeightShape = readonly [outputs: number, inputs: number, ...kernel: number[]];

/** Linear and convolution modules by name, with the shape of their weight. */
function modulesOf(weights: NamedArrays): Map<string, WeightShape> {
  const modules = new Map<string, WeightShape>();
  for (const [name, { shape }] of Object.entries(weights)) {
    const module = name.replace(/\.weight$/, "");
    const isTable = /(token|position)_embedding$/.test(module);
    if (module !== name && !isTable && (shape.length === 2 || shape.length === 4)) {
      modules.set(module, shape as unknown as WeightShape);
    }
  }
  return modules;
}

function matching(target: string, names: readonly string[]): string[] {
  const found = names.filter((name) => matchesGlob(target, name));
  if (found.length > 0) return found;
  // What one would write for each kind of module: `*.to_q`, `*.to_out.0`.
  const kinds = [...new Set(names.map((name) => name.replace(/^.+?\.([^.]+(\.\d+)*)$/, "*.$1")))];
  const guess = nearest(target, kinds);
  throw new ConfigError(
    `LoRA target "${target}" matches none of ${names.length} linear and convolution modules${guess ? `; did you mean "${guess}"?` : "."} Known kinds: ${kinds.join(", ")}.`,
  );
}
