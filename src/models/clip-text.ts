import { z } from "zod";
import { parseConfig } from "../core/config.ts";
import { ShapeError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import {
  embedding,
  embeddingSpecs,
  layerNorm,
  normSpecs,
  type ParamSpecs,
  type Params,
  parameter,
} from "../nn/index.ts";
import { constant, showShape, type Tensor } from "../tensor/index.ts";
import { clipEncoder, clipEncoderSpecs } from "./clip-encoder.ts";
import { withoutPrivateKeys } from "./private-keys.ts";

const size = z.number().int().positive();

// Loose: the file also holds keys of generation and training (bos_token_id, dropout …) without a part in the network.
const schema = z
  .looseObject({
    vocab_size: size.default(49408),
    hidden_size: size.default(512),
    intermediate_size: size.default(2048),
    num_hidden_layers: size.default(12),
    num_attention_heads: size.default(8),
    max_position_embeddings: size.default(77),
    hidden_act: z.enum(["quick_gelu", "gelu"]).default("quick_gelu"),
    layer_norm_eps: z.number().positive().default(1e-5),
  })
  .superRefine(({ hidden_size, num_attention_heads }, context) => {
    if (hidden_size % num_attention_heads !== 0)
      context.addIssue({
        code: "custom",
        path: ["num_attention_heads"],
        message: `must divide hidden_size = ${hidden_size}`,
      });
  });

/** Configuration of `CLIPTextModel` in transformers' own keys. */
export type ClipTextConfig = z.output<typeof schema>;

/** Checks a `text_encoder/config.json`; throws ConfigError for values this network does not support. */
export const parseClipTextConfig = (json: unknown, source = "text_encoder/config.json"): ClipTextConfig =>
  parseConfig(schema, withoutPrivateKeys(json), source);

const EMBEDDING_STD = 0.02;

/** Parameters of transformers' `CLIPTextModel`, under its names. */
export function clipTextSpecs(config: ClipTextConfig): ParamSpecs {
  const { hidden_size: width } = config;
  return {
    ...embeddingSpecs("text_model.embeddings.token_embedding", config.vocab_size, width, EMBEDDING_STD),
    ...embeddingSpecs("text_model.embeddings.position_embedding", config.max_position_embeddings, width, EMBEDDING_STD),
    ...clipEncoderSpecs("text_model.encoder", config),
    ...normSpecs("text_model.final_layer_norm", width),
  };
}

/**
 * Weights of a text encoder under the names of `clipTextSpecs`. Transformers 5 writes them without the leading
 * `text_model.` that version 4 and the published weights have; both are read.
 */
export function clipTextWeights(arrays: NamedArrays): NamedArrays {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, array]) => [name.replace(/^(?!text_model\.)/, "text_model."), array]),
  );
}

/**
 * The text tower of CLIP [radford2021clip]: int32 token ids [B,L] → last_hidden_state after the final layer norm [B,L,D].
 * A token sees itself and what comes before it; padding is not masked, as in Stable Diffusion.
 */
export function clipText(params: Params, config: ClipTextConfig, ids: Tensor): Tensor {
  const length = ids.shape[1];
  if (ids.rank !== 2 || ids.dtype !== "int32" || length! > config.max_position_embeddings) {
    throw new ShapeError(
      `clipText: ids must be int32 [B, L] with L ≤ ${config.max_position_embeddings}, but ${ids.dtype} ${showShape(ids.shape)} came.`,
    );
  }
  const positions = parameter(params, "text_model.embeddings.position_embedding.weight").slice(0, 0, length!);
  const x = embedding(params, "text_model.embeddings.token_embedding", ids).add(positions);
  const h = clipEncoder(params, "text_model.encoder", config, x, causalMask(length!));
  return layerNorm(params, "text_model.final_layer_norm", h, config.layer_norm_eps);
}

/** [L,L]: 0 where column ≤ row, else so low that the softmax weight underflows to 0. */
function causalMask(length: number): Tensor {
  const values = Float32Array.from({ length: length * length }, (_, i) =>
    i % length <= Math.floor(i / length) ? 0 : -1e9,
  );
  return constant(values, [length, length]);
}
