import type { UNetConfig } from "./unet-config.ts";

/** Sizes of every block of a U-Net: parameter shapes and the forward pass both follow this one description. */
export interface UNetLayout {
  /** Channels of the time embedding. */
  time: number;
  down: readonly BlockLayout[];
  middle: TransformerLayout;
  up: readonly BlockLayout[];
}
export interface BlockLayout {
  resnets: readonly ResnetLayout[];
  /** One transformer after every resnet, or none. */
  transformer?: TransformerLayout;
  /** A down block halves the resolution at its end, an up block doubles it. */
  resamples: boolean;
}
export interface ResnetLayout {
  inputs: number;
  outputs: number;
}
export interface TransformerLayout {
  channels: number;
  heads: number;
}

/** The layout of `UNet2DConditionModel` [rombach2022ldm]: skips of the way down are joined to the inputs on the way up. */
export function unetLayout(config: UNetConfig): UNetLayout {
  const widths = config.block_out_channels;
  const last = widths.length - 1;
  const transformerAt = (level: number): TransformerLayout => {
    const heads = config.attention_head_dim;
    return { channels: widths[level]!, heads: typeof heads === "number" ? heads : heads[level]! };
  };
  const block = (type: string, level: number, resnets: ResnetLayout[], resamples: boolean): BlockLayout => ({
    resnets,
    ...(type.startsWith("CrossAttn") && { transformer: transformerAt(level) }),
    resamples,
  });

  const skips = [widths[0]!]; // channels of what the way down leaves behind, first conv_in
  const down = widths.map((outputs, level) => {
    const resnets = Array.from({ length: config.layers_per_block }, (_, j) => {
      skips.push(outputs);
      return { inputs: j === 0 ? widths[Math.max(level - 1, 0)]! : outputs, outputs };
    });
    if (level < last) skips.push(outputs);
    return block(config.down_block_types[level]!, level, resnets, level < last);
  });
  let channels = widths[last]!;
  const up = widths.map((_, i) => {
    const level = last - i;
    const outputs = widths[level]!;
    const resnets = Array.from({ length: config.layers_per_block + 1 }, () => {
      const inputs = channels + skips.pop()!;
      channels = outputs;
      return { inputs, outputs };
    });
    return block(config.up_block_types[i]!, level, resnets, i < last);
  });
  return { time: 4 * widths[0]!, down, middle: transformerAt(last), up };
}
