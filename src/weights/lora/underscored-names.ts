import { FormatError } from "../../core/errors.ts";

/**
 * Names of path steps that contain an underscore, in the networks of diffusers and in CLIP and T5 text encoders. In
 * `down_blocks_0_attentions_0` nothing else says which underscores were dots.
 */
const steps = new Set(
  `down_blocks up_blocks mid_block conv_in conv_out conv_norm_out conv_shortcut time_emb_proj time_embedding add_embedding
   linear_1 linear_2 linear_in linear_out transformer_blocks single_transformer_blocks to_q to_k to_v to_out to_add_out
   add_q_proj add_k_proj add_v_proj proj_in proj_out proj_mlp ff_context norm1_context norm_out
   x_embedder context_embedder time_text_embed timestep_embedder text_embedder guidance_embedder pos_embed
   text_model self_attn q_proj k_proj v_proj out_proj text_projection token_embedding position_embedding
   encoder_hid_proj class_embedding layer_norm1 layer_norm2 final_layer_norm
   wi_0 wi_1 layer_norm`.split(/\s+/),
);
/** Steps of one word; numbers are steps, too. */
const words = new Set(
  `resnets attentions downsamplers upsamplers conv conv1 conv2 attn attn1 attn2 ff net proj norm norm1 norm2 norm3 linear
   encoder layers mlp fc1 fc2 embeddings block layer DenseReluDense SelfAttention q k v o wi wo`.split(/\s+/),
);
const longestStep = 3; // words in a step

/**
 * The path with dots of a name in which every dot became an underscore. With `modules`, the paths of the network it belongs
 * to, the one that gives this name is taken. Without them, the name is read from the left by the known steps above, the longest
 * that fits first. Undefined when no path fits. Throws FormatError when two of `modules` give the same name.
 */
export function dottedPath(name: string, modules: readonly string[] | undefined): string | undefined {
  if (!modules) return bySteps(name);
  const fitting = modules.filter((module) => underscored(module) === name);
  if (fitting.length > 1) {
    throw new FormatError(
      `The name ${name} can mean ${fitting.join(" or ")}: a file in another format tells them apart.`,
    );
  }
  return fitting[0];
}

export const underscored = (path: string): string => path.replaceAll(".", "_");

function bySteps(name: string): string | undefined {
  const parts = name.split("_");
  const path: string[] = [];
  for (let at = 0; at < parts.length; ) {
    const length = stepLength(parts, at);
    if (length === 0) return undefined;
    path.push(parts.slice(at, at + length).join("_"));
    at += length;
  }
  return path.join(".");
}

/** How many parts from `at` on make the longest known step; 0: none. */
function stepLength(parts: readonly string[], at: number): number {
  for (let length = Math.min(longestStep, parts.length - at); length > 1; length--) {
    if (steps.has(parts.slice(at, at + length).join("_"))) return length;
  }
  return words.has(parts[at]!) || /^\d+$/.test(parts[at]!) ? 1 : 0;
}
