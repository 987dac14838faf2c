import { clipEncoder, clipEncoderSpecs } from "../dist/models/clip-encoder.js";
import { ddpmUnet, ddpmUnetSpecs } from "./ddpm-unet.mjs";

/*
 * The networks that are timed: parameters, inputs and the function. The peer (reference/bench_peer.py) builds the same ones from
 * diffusers and transformers and loads the same parameters under the same names.
 */

const clip = {
  hidden_size: 512,
  intermediate_size: 2048,
  num_hidden_layers: 6,
  num_attention_heads: 8,
  hidden_act: "quick_gelu",
  layer_norm_eps: 1e-5,
};
const block = { ...clip, hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 1, hidden_act: "gelu" };

/** Layers of CLIP over x [B, L, hidden_size]. */
const encoder = (summary, config, batch, length) => ({
  summary,
  specs: clipEncoderSpecs("encoder", config),
  inputs: { x: [batch, length, config.hidden_size] },
  apply: (params, { x }) => clipEncoder(params, "encoder", config, x),
});

export const networks = {
  unet: {
    summary: "diffusers UNet2DModel, 6.8 M parameters, 16 × 3×32×32",
    specs: ddpmUnetSpecs,
    inputs: { x: [16, 3, 32, 32], t: [16] },
    apply: (params, { x, t }) => ddpmUnet(params, x, t),
  },
  "transformer-block": encoder("one block, width 256, 8 heads, 16 × 256 tokens", block, 16, 256),
  "clip-encoder": encoder("six layers of CLIP ViT, width 512, 8 heads, 16 × 50 tokens", clip, 16, 50),
};
