import { throughUNet, timeEmbedding, unetSpecs } from "../dist/models/unet.js";
import { resnet } from "../dist/models/unet-blocks.js";
import { attention, groupNorm, linear, linearSpecs, normSpecs } from "../dist/nn/index.js";

/*
 * diffusers' UNet2DModel with block_out_channels (64, 128, 128), two resnets a level and attention with heads of 64 channels on
 * 16×16 and 8×8 pixels: the unconditional U-Net of DDPM, under diffusers' parameter names. Only the benchmark needs it.
 */

const config = {
  in_channels: 3,
  out_channels: 3,
  block_out_channels: [64, 128, 128],
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  layers_per_block: 2,
  attention_head_dim: [1, 2, 2],
  norm_num_groups: 32,
  norm_eps: 1e-5,
};
const attentionSpecs = (name, channels) => ({
  ...normSpecs(`${name}.group_norm`, channels),
  ...linearSpecs(`${name}.to_q`, channels, channels),
  ...linearSpecs(`${name}.to_k`, channels, channels),
  ...linearSpecs(`${name}.to_v`, channels, channels),
  ...linearSpecs(`${name}.to_out.0`, channels, channels),
});

export const ddpmUnetSpecs = unetSpecs(config, (name, { channels }) => attentionSpecs(name, channels));

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
  const time = timeEmbedding(params, config.block_out_channels[0], t);
  return throughUNet(params, config, x, {
    residual: (name, h) => resnet(params, name, config, h, time),
    attentive: (name, heads, h) => attend(params, name, heads, h),
  });
}
