import { type components, splitComponent } from "./lora.ts";

/** One tensor of a LoRA file: which module it belongs to, and as what. */
export interface LoraKey {
  module: string;
  part: "down" | "up" | "alpha";
}

/**
 * Endings of tensor names in the dialects whose module paths have dots:
 *
 *     .lora_A.weight                  diffusers since 0.21, peft (some files name the adapter: .lora_A.default.weight)
 *     .lora.down.weight               diffusers before that, networks
 *     .lora_linear_layer.down.weight  diffusers before that, text encoders
 *     _lora.down.weight               attention processors of diffusers before 0.18: `attn1.processor.to_q_lora`
 */
const endings: readonly [RegExp, LoraKey["part"]][] = [
  [/\.lora_A(\.default)?\.weight$/, "down"],
  [/\.lora_B(\.default)?\.weight$/, "up"],
  [/(\.lora|\.lora_linear_layer|_lora)\.down\.weight$/, "down"],
  [/(\.lora|\.lora_linear_layer|_lora)\.up\.weight$/, "up"],
  [/\.alpha$/, "alpha"],
];

/** Reads a tensor name with dots; undefined when it has none of the endings. */
export function dottedKey(key: string): LoraKey | undefined {
  const ending = endings.find(([pattern]) => pattern.test(key));
  if (!ending) return undefined;
  return { module: modulePath(key.replace(ending[0], "")), part: ending[1] };
}

/** `base_model.model.` may stand there twice: peft wrapped around a network that already was a peft model. */
function modulePath(path: string): string {
  const bare = path.replace(/^(base_model\.model\.)+/, "");
  const [component, inside] = splitComponent(bare) ?? [componentOf(bare), bare];
  return `${component}.${inside
    .replaceAll(".processor.", ".")
    .replace(/\.self_attn\.to_(q|k|v|out)$/, ".self_attn.$1_proj")
    .replace(/\.to_(q|k|v|out)_lora$/, ".to_$1")
    .replace(/\.to_out$/, ".to_out.0")}`;
}

/** The network of a path that does not say it: peft folders and attention processors hold one network only. */
function componentOf(path: string): (typeof components)[number] {
  if (path.startsWith("text_model.")) return "text_encoder";
  return /^(single_)?transformer_blocks\./.test(path) ? "transformer" : "unet";
}
