import type { UNetConfigInput } from "../../src/models/unet.ts";

/** unet/config.json of Stable Diffusion 1.5, as far as it says something. */
export const stableDiffusion15: UNetConfigInput = {
  sample_size: 64,
  in_channels: 4,
  out_channels: 4,
  down_block_types: ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
  block_out_channels: [320, 640, 1280, 1280],
  cross_attention_dim: 768,
  attention_head_dim: 8,
};
