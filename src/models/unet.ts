import { ShapeError } from "../core/errors.ts";
import {
  conv,
  convSpecs,
  groupNorm,
  linear,
  linearSpecs,
  normSpecs,
  type ParamSpecs,
  type Params,
} from "../nn/index.ts";
import { checkpoint, concat, constant, showShape, type Tensor, upsample2x } from "../tensor/index.ts";
import { resnet, resnetSpecs, transformer, transformerSpecs } from "./unet-blocks.ts";
import type { UNetConfig } from "./unet-config.ts";
import { type BlockLayout, type TransformerLayout, unetLayout } from "./unet-layout.ts";

export { parseUNetConfig, type UNetConfig, type UNetConfigInput } from "./unet-config.ts";

/** Parameters of diffusers' `UNet2DConditionModel`, under its names; another kind of attention has others. */
export function unetSpecs(
  config: UNetConfig,
  attentionSpecs = (name: string, sizes: TransformerLayout) => transformerSpecs(name, config, sizes),
): ParamSpecs {
  const layout = unetLayout(config);
  const widths = config.block_out_channels;
  const [first, last] = [widths[0]!, widths[widths.length - 1]!];
  const block = (name: string, { resnets, transformer, resamples }: BlockLayout, sampler: string): ParamSpecs[] => [
    ...resnets.map((sizes, j) => resnetSpecs(`${name}.resnets.${j}`, sizes, layout.time)),
    ...resnets.map((_, j) => (transformer ? attentionSpecs(`${name}.attentions.${j}`, transformer) : {})),
    resamples ? convSpecs(`${name}.${sampler}.0.conv`, resnets[0]!.outputs, resnets[0]!.outputs, 3) : {},
  ];
  return Object.assign(
    {},
    convSpecs("conv_in", config.in_channels, first, 3),
    linearSpecs("time_embedding.linear_1", first, layout.time),
    linearSpecs("time_embedding.linear_2", layout.time, layout.time),
    ...layout.down.flatMap((sizes, i) => block(`down_blocks.${i}`, sizes, "downsamplers")),
    resnetSpecs("mid_block.resnets.0", { inputs: last, outputs: last }, layout.time),
    attentionSpecs("mid_block.attentions.0", layout.middle),
    resnetSpecs("mid_block.resnets.1", { inputs: last, outputs: last }, layout.time),
    ...layout.up.flatMap((sizes, i) => block(`up_blocks.${i}`, sizes, "upsamplers")),
    normSpecs("conv_norm_out", first),
    convSpecs("conv_out", first, config.out_channels, 3),
  );
}

export interface UNetOptions {
  /**
   * Values inside resnets and transformers are not kept for the backward pass but computed again [chen2016checkpointing]: about
   * 60 % less memory for the gradient by all parameters, in about 1.2 × the time (docs/log.md).
   */
  gradientCheckpointing?: boolean;
}

/**
 * The network of latent diffusion [rombach2022ldm] as diffusers builds it: a state x [B,C,H,W] at train time t [B] under
 * the text [B,L,D] → [B,out,H,W]. Throws ShapeError when the sides of x cannot be halved at every level.
 */
export function unet(
  params: Params,
  config: UNetConfig,
  x: Tensor,
  t: Tensor,
  text: Tensor,
  { gradientCheckpointing = false }: UNetOptions = {},
): Tensor {
  checkShapes(config, x, t, text);
  const time = timeEmbedding(params, config.block_out_channels[0]!, t);
  const keep = gradientCheckpointing ? checkpoint : (fn: (h: Tensor, given: Tensor) => Tensor) => fn;
  return throughUNet(params, config, x, {
    residual: (name, h) => keep((h, time) => resnet(params, name, config, h, time))(h, time),
    attentive: (name, heads, h) => keep((h, text) => transformer(params, name, config, heads, h, text))(h, text),
  });
}

/** What a U-Net does between its resamplings: a resnet, and an attention after it where a block has one. [B,C,H,W] each */
export interface UNetStages {
  residual(name: string, h: Tensor): Tensor;
  attentive(name: string, heads: number, h: Tensor): Tensor;
}

/** The way down, the middle and the way up with what the way down left behind: x [B,C,H,W] → [B,out,H,W]. */
export function throughUNet(
  params: Params,
  config: UNetConfig,
  x: Tensor,
  { residual, attentive }: UNetStages,
): Tensor {
  const layout = unetLayout(config);
  /** Resnet j of a block, then its transformer. */
  const stage = (name: string, sizes: BlockLayout, j: number, h: Tensor): Tensor => {
    const out = residual(`${name}.resnets.${j}`, h);
    return sizes.transformer ? attentive(`${name}.attentions.${j}`, sizes.transformer.heads, out) : out;
  };

  let h = conv(params, "conv_in", x, { padding: 1 });
  const skips = [h];
  layout.down.forEach((sizes, i) => {
    const name = `down_blocks.${i}`;
    sizes.resnets.forEach((_, j) => {
      h = stage(name, sizes, j, h);
      skips.push(h);
    });
    if (sizes.resamples) {
      h = conv(params, `${name}.downsamplers.0.conv`, h, { stride: 2, padding: 1 });
      skips.push(h);
    }
  });

  h = residual("mid_block.resnets.0", h);
  h = attentive("mid_block.attentions.0", layout.middle.heads, h);
  h = residual("mid_block.resnets.1", h);

  layout.up.forEach((sizes, i) => {
    const name = `up_blocks.${i}`;
    sizes.resnets.forEach((_, j) => {
      h = stage(name, sizes, j, concat([h, skips.pop()!], 1));
    });
    if (sizes.resamples) h = conv(params, `${name}.upsamplers.0.conv`, upsample2x(h), { padding: 1 });
  });

  h = groupNorm(params, "conv_norm_out", h, config.norm_num_groups, config.norm_eps).silu();
  return conv(params, "conv_out", h, { padding: 1 });
}

/** silu of W₂·silu(W₁·[cos(ω t), sin(ω t)]), ω_k = 10000^(−k/half): [B] → [B,time], as every resnet takes it. */
export function timeEmbedding(params: Params, width: number, t: Tensor): Tensor {
  const half = width / 2;
  const frequencies = Float32Array.from({ length: half }, (_, k) => 10000 ** (-k / half));
  const phase = t.reshape([-1, 1]).mul(constant(frequencies, [1, half])); // [B,half]
  const waves = concat([phase.cos(), phase.sin()], 1);
  return linear(params, "time_embedding.linear_2", linear(params, "time_embedding.linear_1", waves).silu()).silu();
}

function checkShapes(config: UNetConfig, x: Tensor, t: Tensor, text: Tensor): void {
  const multiple = 2 ** (config.block_out_channels.length - 1);
  const [B, C, H, W] = x.shape;
  if (x.rank !== 4 || C !== config.in_channels || H! % multiple !== 0 || W! % multiple !== 0) {
    throw new ShapeError(
      `unet: x must be [B, ${config.in_channels}, H, W] with H and W divisible by ${multiple}, but ${showShape(x.shape)} came.`,
    );
  }
  if (
    t.rank !== 1 ||
    t.shape[0] !== B ||
    text.rank !== 3 ||
    text.shape[0] !== B ||
    text.shape[2] !== config.cross_attention_dim
  ) {
    throw new ShapeError(
      `unet: with x ${showShape(x.shape)}, t must be [${B}] and text [${B}, L, ${config.cross_attention_dim}], but ${showShape(t.shape)} and ${showShape(text.shape)} came.`,
    );
  }
}
