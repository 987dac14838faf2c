import { timeEmbedding } from "../dist/models/unet.js";
import { resnet, resnetSpecs } from "../dist/models/unet-blocks.js";
import { unetLayout } from "../dist/models/unet-layout.js";
import { attention, conv, convSpecs, groupNorm, linear, linearSpecs, normSpecs } from "../dist/nn/index.js";
import { concat, upsample2x } from "../dist/tensor/index.js";

/*
 * diffusers' UNet2DModel with block_out_channels (64, 128, 128), two resnets a level and attention with heads of 64 channels on
 * 16×16 and 8×8 pixels: the unconditional U-Net of DDPM, under diffusers' parameter names. Only the benchmark needs it.
 */

const config = {
  in_channels: 3,
  block_out_channels: [64, 128, 128],
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  layers_per_block: 2,
  attention_head_dim: [1, 2, 2],
  norm_num_groups: 32,
  norm_eps: 1e-5,
};
const layout = unetLayout(config);
const [first, last] = [64, 128];

const attentionSpecs = (name, channels) => ({
  ...normSpecs(`${name}.group_norm`, channels),
  ...linearSpecs(`${name}.to_q`, channels, channels),
  ...linearSpecs(`${name}.to_k`, channels, channels),
  ...linearSpecs(`${name}.to_v`, channels, channels),
  ...linearSpecs(`${name}.to_out.0`, channels, channels),
});

const blockSpecs = (name, { resnets, transformer, resamples }, sampler) => [
  ...resnets.map((sizes, j) => resnetSpecs(`${name}.resnets.${j}`, sizes, layout.time)),
  ...resnets.map((_, j) => (transformer ? attentionSpecs(`${name}.attentions.${j}`, transformer.channels) : {})),
  resamples ? convSpecs(`${name}.${sampler}.0.conv`, resnets[0].outputs, resnets[0].outputs, 3) : {},
];

export const ddpmUnetSpecs = Object.assign(
  {},
  convSpecs("conv_in", 3, first, 3),
  linearSpecs("time_embedding.linear_1", first, layout.time),
  linearSpecs("time_embedding.linear_2", layout.time, layout.time),
  ...layout.down.flatMap((sizes, i) => blockSpecs(`down_blocks.${i}`, sizes, "downsamplers")),
  resnetSpecs("mid_block.resnets.0", { inputs: last, outputs: last }, layout.time),
  attentionSpecs("mid_block.attentions.0", last),
  resnetSpecs("mid_block.resnets.1", { inputs: last, outputs: last }, layout.time),
  ...layout.up.flatMap((sizes, i) => blockSpecs(`up_blocks.${i}`, sizes, "upsamplers")),
  normSpecs("conv_norm_out", first),
  convSpecs("conv_out", first, 3, 3),
);

/** x [B,C,H,W] → [B,C,H,W]: attention over the pixels, added to x. */
function attend(params, name, heads, x) {
  const [B, C, H, W] = x.shape;
  const tokens = groupNorm(params, `${name}.group_norm`, x, config.norm_num_groups, config.norm_eps)
    .reshape([B, C, H * W])
    .transpose([0, 2, 1]);
  const project = (part) => linear(params, `${name}.to_${part}`, tokens);
  const mixed = linear(params, `${name}.to_out.0`, attention(project("q"), project("k"), project("v"), heads));
  return mixed.transpose([0, 2, 1]).reshape([B, C, H, W]).add(x);
}

/** x [B,3,32,32] at train time t [B] → [B,3,32,32]. */
export function ddpmUnet(params, x, t) {
  const time = timeEmbedding(params, first, t);
  const stage = (name, { transformer }, j, h) => {
    const out = resnet(params, `${name}.resnets.${j}`, config, h, time);
    return transformer ? attend(params, `${name}.attentions.${j}`, transformer.heads, out) : out;
  };
  let h = conv(params, "conv_in", x, { padding: 1 });
  const skips = [h];
  layout.down.forEach((sizes, i) => {
    for (const j of sizes.resnets.keys()) {
      h = stage(`down_blocks.${i}`, sizes, j, h);
      skips.push(h);
    }
    if (!sizes.resamples) return;
    h = conv(params, `down_blocks.${i}.downsamplers.0.conv`, h, { stride: 2, padding: 1 });
    skips.push(h);
  });
  h = resnet(params, "mid_block.resnets.0", config, h, time);
  h = attend(params, "mid_block.attentions.0", layout.middle.heads, h);
  h = resnet(params, "mid_block.resnets.1", config, h, time);
  layout.up.forEach((sizes, i) => {
    for (const j of sizes.resnets.keys()) h = stage(`up_blocks.${i}`, sizes, j, concat([h, skips.pop()], 1));
    if (sizes.resamples) h = conv(params, `up_blocks.${i}.upsamplers.0.conv`, upsample2x(h), { padding: 1 });
  });
  h = groupNorm(params, "conv_norm_out", h, config.norm_num_groups, config.norm_eps).silu();
  return conv(params, "conv_out", h, { padding: 1 });
}
