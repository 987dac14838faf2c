/**
 * Names that kohya's scripts use for the U-Net of SDXL: those of the original code of Stable Diffusion, which numbers the
 * blocks of both ways through and calls the layers of a residual block by place. For L residual blocks in a block of
 * diffusers:
 *
 *     input_blocks.i    →  block (i − 1) div (L + 1), layer (i − 1) mod (L + 1); i = 0 is conv_in
 *     middle_block.0,1,2 →  resnets.0, attentions.0, resnets.1
 *     output_blocks.i   →  block i div (L + 1), layer i mod (L + 1)
 *
 * What follows has the number 0 in a residual block, 1 in a transformer; a change of resolution is known by its last word.
 */
const residualLayers = new Map(
  Object.entries({
    in_layers_2: "conv1",
    out_layers_3: "conv2",
    emb_layers_1: "time_emb_proj",
    skip_connection: "conv_shortcut",
  }),
);
const outsideBlocks = new Map(
  Object.entries({
    input_blocks_0_0: "conv_in",
    out_2: "conv_out",
    time_embed_0: "time_embedding_linear_1",
    time_embed_2: "time_embedding_linear_2",
    label_emb_0_0: "add_embedding_linear_1",
    label_emb_0_2: "add_embedding_linear_2",
  }),
);

/** The diffusers name, still with underscores, of a name of the original code; any other name comes back as it is. */
export function diffusersName(name: string, layersPerBlock: number): string {
  const outside = outsideBlocks.get(name);
  if (outside) return outside;
  const [, way, number, rest] = /^(input_blocks|middle_block|output_blocks)_(\d+)_(.+)$/.exec(name) ?? [];
  if (way === undefined || number === undefined || rest === undefined) return name;
  const i = Number(number);
  if (way === "middle_block") {
    return i === 1 ? `mid_block_attentions_0_${rest}` : `mid_block_resnets_${i / 2}_${residual(rest)}`;
  }
  const at = way === "input_blocks" ? i - 1 : i;
  const block = `${way === "input_blocks" ? "down_blocks" : "up_blocks"}_${Math.floor(at / (layersPerBlock + 1))}`;
  const layer = at % (layersPerBlock + 1);
  const [, place, inner] = /^(\d+)_(.+)$/.exec(rest) ?? [];
  if (inner === undefined) return name;
  if (inner === "op") return `${block}_downsamplers_0_conv`;
  if (inner === "conv") return `${block}_upsamplers_0_conv`;
  return place === "0" ? `${block}_resnets_${layer}_${residual(inner)}` : `${block}_attentions_${layer}_${inner}`;
}

const residual = (layer: string): string => residualLayers.get(layer) ?? layer;
