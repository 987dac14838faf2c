import { attention, layerNorm, linear, normSpecs, type ParamSpecs, type Params } from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";

/** What the text and the vision tower of CLIP have in common, in transformers' own keys. */
export interface ClipEncoderConfig {
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  hidden_act: "quick_gelu" | "gelu";
  layer_norm_eps: number;
}

const layerNames = (name: string, config: ClipEncoderConfig): string[] =>
  Array.from({ length: config.num_hidden_layers }, (_, n) => `${name}.layers.${n}`);

/** Parameters of the layers under `name.layers.N`, with the initial laws of transformers' CLIP [radford2021clip]. */
export function clipEncoderSpecs(name: string, config: ClipEncoderConfig): ParamSpecs {
  const { hidden_size: width, intermediate_size: inner, num_hidden_layers: depth } = config;
  const residualStd = width ** -0.5 * (2 * depth) ** -0.5;
  const linearNormal = (layer: string, inputs: number, outputs: number, std: number): ParamSpecs => ({
    [`${layer}.weight`]: { shape: [outputs, inputs], init: { normal: std } },
    [`${layer}.bias`]: { shape: [outputs], init: "zeros" },
  });
  const layers = layerNames(name, config).map((layer) => ({
    ...normSpecs(`${layer}.layer_norm1`, width),
    ...linearNormal(`${layer}.self_attn.q_proj`, width, width, residualStd),
    ...linearNormal(`${layer}.self_attn.k_proj`, width, width, residualStd),
    ...linearNormal(`${layer}.self_attn.v_proj`, width, width, residualStd),
    ...linearNormal(`${layer}.self_attn.out_proj`, width, width, width ** -0.5),
    ...normSpecs(`${layer}.layer_norm2`, width),
    ...linearNormal(`${layer}.mlp.fc1`, width, inner, (2 * width) ** -0.5),
    ...linearNormal(`${layer}.mlp.fc2`, inner, width, residualStd),
  }));
  return Object.assign({}, ...layers);
}

/** Pre-norm transformer layers over x [B,L,D] → [B,L,D]; `mask` is added to the attention logits [B,heads,L,L]. */
export function clipEncoder(params: Params, name: string, config: ClipEncoderConfig, x: Tensor, mask?: Tensor): Tensor {
  let h = x;
  for (const layer of layerNames(name, config)) {
    const own = layerNorm(params, `${layer}.layer_norm1`, h, config.layer_norm_eps);
    const project = (part: string) => linear(params, `${layer}.self_attn.${part}_proj`, own);
    const mixed = attention(project("q"), project("k"), project("v"), config.num_attention_heads, mask);
    h = h.add(linear(params, `${layer}.self_attn.out_proj`, mixed));
    const inner = linear(
      params,
      `${layer}.mlp.fc1`,
      layerNorm(params, `${layer}.layer_norm2`, h, config.layer_norm_eps),
    );
    const active = config.hidden_act === "gelu" ? inner.gelu() : inner.quickGelu();
    h = h.add(linear(params, `${layer}.mlp.fc2`, active));
  }
  return h;
}
