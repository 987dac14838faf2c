import { z } from "zod";
import { parseConfig } from "../core/config.ts";
import { withoutPrivateKeys } from "./private-keys.ts";

const size = z.number().int().positive();
/** A choice diffusers offers and this network does not: only the value that switches it off is taken. */
const only = <const T extends string | number | boolean | null>(value: T) => z.literal(value).default(value);
const off = z.literal(null).or(z.literal(false)).optional();

const schema = z
  .strictObject({
    sample_size: size,
    in_channels: size,
    out_channels: size,
    down_block_types: z.array(z.enum(["DownBlock2D", "CrossAttnDownBlock2D"])).min(1),
    mid_block_type: only("UNetMidBlock2DCrossAttn"),
    up_block_types: z.array(z.enum(["UpBlock2D", "CrossAttnUpBlock2D"])).min(1),
    block_out_channels: z.array(size).min(1),
    layers_per_block: size.default(2),
    transformer_layers_per_block: size.default(1),
    cross_attention_dim: size,
    /** The NUMBER of heads, despite its name (a quirk of UNet2DConditionModel); a list gives it per level. */
    attention_head_dim: z.union([size, z.array(size)]).default(8),
    use_linear_projection: z.boolean().default(false),
    norm_num_groups: size.default(32),
    norm_eps: z.number().positive().default(1e-5),
    act_fn: only("silu"),
    flip_sin_to_cos: only(true),
    freq_shift: only(0),
    downsample_padding: only(1),
    mid_block_scale_factor: only(1),
    center_input_sample: only(false),
    resnet_time_scale_shift: only("default"),
    time_embedding_type: only("positional"),
    conv_in_kernel: only(3),
    conv_out_kernel: only(3),
    attention_type: only("default"),
    resnet_out_scale_factor: only(1),
    dropout: only(0),
    addition_embed_type: off,
    addition_time_embed_dim: off,
    class_embed_type: off,
    class_embeddings_concat: off,
    cross_attention_norm: off,
    dual_cross_attention: off,
    encoder_hid_dim: off,
    encoder_hid_dim_type: off,
    mid_block_only_cross_attention: off,
    num_attention_heads: off,
    num_class_embeds: off,
    only_cross_attention: off,
    projection_class_embeddings_input_dim: off,
    resnet_skip_time_act: off,
    reverse_transformer_layers_per_block: off,
    time_cond_proj_dim: off,
    time_embedding_act_fn: off,
    time_embedding_dim: off,
    timestep_post_act: off,
    /** Without effect: everything is computed in float32. */
    upcast_attention: z.boolean().optional(),
    /** Without effect while addition_embed_type is off. */
    addition_embed_type_num_heads: size.optional(),
  })
  .superRefine((config, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    const channels = config.block_out_channels;
    for (const key of ["down_block_types", "up_block_types"] as const) {
      if (config[key].length !== channels.length)
        refuse(
          key,
          `needs one entry per level, ${channels.length} as in block_out_channels, but has ${config[key].length}`,
        );
    }
    const heads = config.attention_head_dim;
    if (typeof heads !== "number" && heads.length !== channels.length)
      refuse("attention_head_dim", `needs one entry per level, ${channels.length}, but has ${heads.length}`);
    channels.forEach((width, level) => {
      const count = typeof heads === "number" ? heads : heads[level];
      if (width % config.norm_num_groups !== 0)
        refuse("block_out_channels", `${width} is not divisible by norm_num_groups = ${config.norm_num_groups}`);
      if (count && width % count !== 0)
        refuse("attention_head_dim", `${count} heads (that is what this key means) do not divide ${width} channels`);
    });
    if (channels[0]! % 2 !== 0) refuse("block_out_channels", "the first entry must be even (sines and cosines of t)");
  });

/** Configuration of `UNet2DConditionModel` in diffusers' own keys, as far as `unet` supports it. */
export type UNetConfig = z.output<typeof schema>;
export type UNetConfigInput = z.input<typeof schema>;

/** Checks a diffusers `unet/config.json`; throws ConfigError naming each architecture choice that is not supported. */
export const parseUNetConfig = (json: unknown, source = "unet/config.json"): UNetConfig =>
  parseConfig(schema, withoutPrivateKeys(json), source);
