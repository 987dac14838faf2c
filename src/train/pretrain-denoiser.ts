import { addPrefix, withPrefix } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import { type PictureSet, type PromptTokenizer, trainingBatch } from "../data/index.ts";
import { alphasCumprod } from "../diffusion/index.ts";
import { type ClipTextConfig, clipText, clipTextSpecs } from "../models/clip-text.ts";
import { encodeImagesHost } from "../models/codec.ts";
import { type UNetConfig, unet, unetSpecs } from "../models/unet.ts";
import { initialize } from "../nn/index.ts";
import { input } from "../tensor/index.ts";
import type { NetworkTask } from "./network-loop.ts";
import type { DenoiserConfig } from "./pretrain-config.ts";

/**
 * The denoising task of a text-to-image model: with x = √ᾱ x₀ + √(1−ᾱ) ε at a uniform train time, the network under the
 * prompt's text is regressed on ε, on x₀, or on v = √ᾱ ε − √(1−ᾱ) x₀ [salimans2022progressive]. The times of a batch lie
 * evenly spaced from a random start, which makes the loss less noisy [kingma2021vdm, I.1]. Parameters are named `unet.…` and
 * `text_encoder.…`.
 */
export function denoiserTask(config: DenoiserConfig, pictures: PictureSet, tokenizer: PromptTokenizer): NetworkTask {
  const unetConfig = config.unet as UNetConfig;
  const textConfig = config.textEncoder as ClipTextConfig;
  const { batch } = config.train;
  const side = unetConfig.sample_size;
  const shape = [batch, unetConfig.in_channels, side, side];
  const length = textConfig.max_position_embeddings;
  const rng = new Rng(config.train.seed);
  const alphas = alphasCumprod(config.scheduler);
  const specs = {
    ...addPrefix(unetSpecs(unetConfig), "unet."),
    ...addPrefix(clipTextSpecs(textConfig), "text_encoder."),
  };

  return {
    params: initialize(specs, rng),
    losses(params) {
      const x0 = input("x0", shape);
      const eps = input("eps", shape);
      const signal = input("signal", [batch, 1, 1, 1]); // √ᾱ
      const noise = input("noise", [batch, 1, 1, 1]); // √(1−ᾱ)
      const text = clipText(withPrefix(params, "text_encoder."), textConfig, input("tokens", [batch, length], "int32"));
      const x = x0.mul(signal).add(eps.mul(noise));
      const out = unet(withPrefix(params, "unet."), unetConfig, x, input("t", [batch]), text);
      const target = { epsilon: eps, sample: x0, v_prediction: eps.mul(signal).sub(x0.mul(noise)) }[config.prediction];
      return { loss: out.sub(target).square().mean() };
    },
    feeds(update) {
      const { images, prompts } = trainingBatch(pictures, rng, update, batch);
      const drop = rng.uniform(batch, { purpose: "dropout", sample: update });
      const shown = prompts.map((prompt, b) => (drop[b]! < config.unconditional ? "" : prompt));
      const [start] = rng.uniform(1, { purpose: "pretrainTime", sample: update });
      const t = Float32Array.from({ length: batch }, (_, b) => Math.floor(((start! + b / batch) % 1) * alphas.length));
      const power = Array.from(t, (index) => alphas[index]!);
      return {
        x0: encodeImagesHost(images, [batch, 3, 2 * side, 2 * side]),
        eps: rng.normal(batch * unetConfig.in_channels * side * side, { purpose: "pretrainNoise", sample: update }),
        signal: Float32Array.from(power, (alphaBar) => Math.sqrt(alphaBar)),
        noise: Float32Array.from(power, (alphaBar) => Math.sqrt(1 - alphaBar)),
        t,
        tokens: tokenizer.encode(shown, length),
      };
    },
  };
}
