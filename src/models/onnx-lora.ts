import { ConfigError } from "../core/errors.ts";
import { matchesGlob } from "../core/glob.ts";
import { addPrefix, type NamedArrays } from "../core/named-arrays.ts";
import { initialize, loraSpecs, type Params } from "../nn/index.ts";
import type { AdaptNode } from "../onnx/index.ts";
import { conv2d, type Tensor } from "../tensor/index.ts";
import type { Adaptation, FinetuneOptions } from "./model.ts";
import { isMadeUp, type OnnxModules } from "./onnx-modules.ts";

/** Parameters of the file's network, among those of the model. */
export const filePrefix = "denoiser.";

/**
 * What finetuning trains of a network in an ONNX file: low-rank additions to the modules whose names match, or the modules'
 * weights and all `*.weight` and `*.bias` themselves. Throws ConfigError for a target without a match.
 */
export function onnxAdaptation(
  { modules }: OnnxModules,
  weights: NamedArrays,
  { mode, rank, alpha, targets }: FinetuneOptions,
): Adaptation {
  if (mode === "full") {
    const chosen = fullyTrained(modules, weights, targets);
    return {
      init: () => addPrefix(chosen, filePrefix),
      bind: (frozen, trained) => ({ ...frozen, ...trained }),
    };
  }
  const shapes = [...modules].map(([name, { shape }]) => [`${name}.weight`, { shape, data: new Float32Array(0) }]);
  const specs = loraSpecs(Object.fromEntries(shapes) as NamedArrays, targets, rank);
  const prefix = componentPrefix([...modules.keys()]);
  const scaled = (name: string, x: Tensor) =>
    name.endsWith(".lora_B.weight") && alpha !== rank ? x.mul(alpha / rank) : x;
  return {
    init: (rng) => addPrefix(initialize(specs, rng), prefix),
    bind(frozen, trained) {
      const known = (name: string) => name.startsWith(prefix) && Object.hasOwn(specs, name.slice(prefix.length));
      const unknown = Object.keys(trained).find((name) => !known(name));
      if (unknown)
        throw new ConfigError(
          `LoRA parameter "${unknown}" belongs to no module that finetune.targets choose. Was it made for another network?`,
        );
      return {
        ...frozen,
        ...Object.fromEntries(Object.entries(trained).map(([name, x]) => [name, scaled(name, x)])),
      };
    },
  };
}

/** Adds the low-rank additions that the parameters hold to what the nodes of their modules give. */
export function withLowRank({ modules, ofNode }: OnnxModules, params: Params): AdaptNode {
  const prefix = componentPrefix([...modules.keys()]);
  return (node, operands, translate) => {
    const results = translate(operands);
    const name = ofNode.get(node.output[0] ?? "");
    const a = name === undefined ? undefined : params[`${prefix}${name}.lora_A.weight`];
    const b = name === undefined ? undefined : params[`${prefix}${name}.lora_B.weight`];
    if (!a || !b) return results;
    const [x, y] = [operands[0]!, results[0]!];
    if (node.opType === "Conv") {
      // The same convolution with A, without bias, then 1×1 with B.
      const low = translate([x, a])[0]!; // [N, rank, H', W']
      return [y.add(conv2d(low, b))];
    }
    // x·Aᵀ·Bᵀ: far fewer products than x·(W + B·A)ᵀ, whose gradient is that of a whole weight. Leading axes are rows, as in nn/layers.
    const rows = x.reshape([-1, x.shape[x.rank - 1]!]);
    const added = rows.matmul(a, { transB: true }).matmul(b, { transB: true });
    return [y.add(added.reshape(y.shape))];
  };
}

/** The trained arrays of mode full: names are those of the file. */
function fullyTrained(modules: OnnxModules["modules"], weights: NamedArrays, targets: readonly string[]): NamedArrays {
  const moduleOf = new Map<string, string>();
  for (const name of Object.keys(weights)) {
    const stem = name.replace(/\.(weight|bias)$/, "");
    if (stem !== name && !isMadeUp(name)) moduleOf.set(name, stem);
  }
  for (const [module, { weights: stored }] of modules) for (const name of stored) moduleOf.set(name, module);
  const chosen = [...moduleOf].filter(([, module]) => targets.some((target) => matchesGlob(target, module)));
  if (chosen.length === 0) {
    throw new ConfigError(
      `finetune.targets: ${targets.join(", ")} match no module of the network. Use "*" for all. Modules: ${listed([...modules.keys()])}.`,
    );
  }
  return Object.fromEntries(chosen.map(([name]) => [name, weights[name]!]));
}

const listed = (names: readonly string[]): string =>
  names.slice(0, 8).join(", ") + (names.length > 8 ? ` … (${names.length} in all)` : "");

/**
 * The network's part of a diffusers folder, as LoRA files have it before a module's path: none where the exported module wrapped the
 * network under that name already.
 */
function componentPrefix(modules: readonly string[]): string {
  if (modules.some((name) => /^(unet|transformer)\./.test(name))) return "";
  return modules.some((name) => /^(single_)?transformer_blocks\./.test(name)) ? "transformer." : "unet.";
}
