import { join } from "node:path";
import { Rng } from "../../src/core/rng.ts";
import { clipTextSpecs, parseClipTextConfig } from "../../src/models/clip-text.ts";
import { parseUNetConfig, type UNetConfigInput, unetSpecs } from "../../src/models/unet.ts";
import { initialize } from "../../src/nn/index.ts";
import { writeDiffusersFolder } from "../../src/weights/index.ts";

/** A U-Net of a few hundred weights, with everything that a large one has. */
export const tinyUNet: UNetConfigInput = {
  sample_size: 4,
  in_channels: 2,
  out_channels: 2,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "UpBlock2D"],
  block_out_channels: [4, 8],
  layers_per_block: 1,
  cross_attention_dim: 3,
  attention_head_dim: 2,
  norm_num_groups: 2,
};

/** Writes a diffusers folder of such a network for the latents of the bundled model, with the tokenizer in that folder. */
export async function writeTinyModel(path: string, bundled: string): Promise<void> {
  const rng = new Rng(1);
  const unet = parseUNetConfig({
    ...tinyUNet,
    sample_size: 16,
    in_channels: 12,
    out_channels: 12,
    cross_attention_dim: 6,
  });
  const text = parseClipTextConfig({
    vocab_size: 701,
    hidden_size: 6,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 8,
  });
  await writeDiffusersFolder(path, {
    unet: { config: { ...unet }, weights: initialize(unetSpecs(unet), rng) },
    textEncoder: { config: { ...text }, weights: initialize(clipTextSpecs(text), rng) },
    scheduler: {
      _class_name: "DDPMScheduler",
      num_train_timesteps: 1000,
      beta_schedule: "squaredcos_cap_v2",
      beta_start: 1e-4,
      beta_end: 0.02,
      prediction_type: "v_prediction",
    },
    codec: { _class_name: "PixelUnshuffle", factor: 2 },
    tokenizer: join(bundled, "tokenizer"),
  });
}
