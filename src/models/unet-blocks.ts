import {
  attention,
  conv,
  convSpecs,
  groupNorm,
  layerNorm,
  linear,
  linearSpecs,
  normSpecs,
  type ParamSpecs,
  type Params,
} from "../nn/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { UNetConfig } from "./unet-config.ts";
import type { ResnetLayout, TransformerLayout } from "./unet-layout.ts";

const TRANSFORMER_GROUP_EPS = 1e-6; // fixed in diffusers, unlike norm_eps of the resnets
const LAYER_EPS = 1e-5;
const FEED_FORWARD_RATIO = 4;

export function resnetSpecs(name: string, { inputs, outputs }: ResnetLayout, time: number): ParamSpecs {
  return {
    ...normSpecs(`${name}.norm1`, inputs),
    ...convSpecs(`${name}.conv1`, inputs, outputs, 3),
    ...linearSpecs(`${name}.time_emb_proj`, time, outputs),
    ...normSpecs(`${name}.norm2`, outputs),
    ...convSpecs(`${name}.conv2`, outputs, outputs, 3),
    ...(inputs !== outputs && convSpecs(`${name}.conv_shortcut`, inputs, outputs, 1)),
  };
}

/** Residual block: x [B,C,H,W] and the activated time embedding [B,time] → [B,O,H,W]. */
export function resnet(params: Params, name: string, config: UNetConfig, x: Tensor, time: Tensor): Tensor {
  const norm = (layer: string, h: Tensor) =>
    groupNorm(params, `${name}.${layer}`, h, config.norm_num_groups, config.norm_eps).silu();
  const shift = linear(params, `${name}.time_emb_proj`, time); // [B,O]
  const h = conv(params, `${name}.conv1`, norm("norm1", x), { padding: 1 }).add(shift.reshape([...shift.shape, 1, 1]));
  const out = conv(params, `${name}.conv2`, norm("norm2", h), { padding: 1 });
  return out.add(x.shape[1] === out.shape[1] ? x : conv(params, `${name}.conv_shortcut`, x));
}

export function transformerSpecs(name: string, config: UNetConfig, { channels }: TransformerLayout): ParamSpecs {
  const projection = (layer: string) =>
    config.use_linear_projection
      ? linearSpecs(`${name}.${layer}`, channels, channels)
      : convSpecs(`${name}.${layer}`, channels, channels, 1);
  const blocks = blockNames(name, config).map((block) => ({
    ...normSpecs(`${block}.norm1`, channels),
    ...attentionSpecs(`${block}.attn1`, channels, channels),
    ...normSpecs(`${block}.norm2`, channels),
    ...attentionSpecs(`${block}.attn2`, channels, config.cross_attention_dim),
    ...normSpecs(`${block}.norm3`, channels),
    ...linearSpecs(`${block}.ff.net.0.proj`, channels, 2 * FEED_FORWARD_RATIO * channels),
    ...linearSpecs(`${block}.ff.net.2`, FEED_FORWARD_RATIO * channels, channels),
  }));
  return Object.assign(
    {},
    normSpecs(`${name}.norm`, channels),
    projection("proj_in"),
    ...blocks,
    projection("proj_out"),
  );
}

/** Transformer over the pixels of x [B,C,H,W], which also look at the text [B,L,D]; adds to x. */
export function transformer(
  params: Params,
  name: string,
  config: UNetConfig,
  heads: number,
  x: Tensor,
  text: Tensor,
): Tensor {
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const toTokens = (map: Tensor) => map.reshape([B, C, H * W]).transpose([0, 2, 1]); // [B,HW,C]
  const toMap = (tokens: Tensor) => tokens.transpose([0, 2, 1]).reshape([B, C, H, W]);
  const normal = groupNorm(params, `${name}.norm`, x, config.norm_num_groups, TRANSFORMER_GROUP_EPS);
  let h = config.use_linear_projection
    ? linear(params, `${name}.proj_in`, toTokens(normal))
    : toTokens(conv(params, `${name}.proj_in`, normal));
  for (const block of blockNames(name, config)) {
    const norm = (layer: string) => layerNorm(params, `${block}.${layer}`, h, LAYER_EPS);
    const own = norm("norm1");
    h = h.add(attend(params, `${block}.attn1`, heads, own, own));
    h = h.add(attend(params, `${block}.attn2`, heads, norm("norm2"), text));
    h = h.add(feedForward(params, `${block}.ff`, norm("norm3")));
  }
  const out = config.use_linear_projection
    ? toMap(linear(params, `${name}.proj_out`, h))
    : conv(params, `${name}.proj_out`, toMap(h));
  return out.add(x);
}

const blockNames = (name: string, config: UNetConfig): string[] =>
  Array.from({ length: config.transformer_layers_per_block }, (_, k) => `${name}.transformer_blocks.${k}`);

function attentionSpecs(name: string, channels: number, context: number): ParamSpecs {
  return {
    ...linearSpecs(`${name}.to_q`, channels, channels, false),
    ...linearSpecs(`${name}.to_k`, context, channels, false),
    ...linearSpecs(`${name}.to_v`, context, channels, false),
    ...linearSpecs(`${name}.to_out.0`, channels, channels),
  };
}

/** Attention of x [B,L,C] to `context` [B,M,D] → [B,L,C]. */
function attend(params: Params, name: string, heads: number, x: Tensor, context: Tensor): Tensor {
  const q = linear(params, `${name}.to_q`, x);
  const k = linear(params, `${name}.to_k`, context);
  const v = linear(params, `${name}.to_v`, context);
  return linear(params, `${name}.to_out.0`, attention(q, k, v, heads));
}

/** W₂(a·gelu(b)) with (a, b) = W₁x [shazeer2020glu]. */
function feedForward(params: Params, name: string, x: Tensor): Tensor {
  const both = linear(params, `${name}.net.0.proj`, x);
  const width = both.shape[both.rank - 1]!;
  const gated = both.slice(-1, 0, width / 2).mul(both.slice(-1, width / 2, width).gelu());
  return linear(params, `${name}.net.2`, gated);
}
