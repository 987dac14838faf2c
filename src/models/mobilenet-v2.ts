import { z } from "zod";
import { parseConfig } from "../core/config.ts";
import { ShapeError } from "../core/errors.ts";
import { conv, convSpecs, type ParamSpecs, type Params } from "../nn/index.ts";
import { apply, resize, showShape, type Tensor } from "../tensor/index.ts";
import { withoutPrivateKeys } from "./private-keys.ts";

const size = z.int().positive();

const schema = z
  .strictObject({
    side: size.describe("height and width that pictures are brought to"),
    stem: size.describe("channels of the first convolution, which halves the side"),
    stages: z
      .array(
        z.strictObject({
          expansion: size.describe("channels inside a block, as a multiple of those that enter it"),
          channels: size.describe("channels that leave each block"),
          blocks: size.describe("blocks in a row"),
          stride: z.union([z.literal(1), z.literal(2)]).describe("stride of the first block; of the others it is 1"),
        }),
      )
      .nonempty(),
  })
  .superRefine((config, context) => {
    const times = reduction(config);
    if (config.side % times === 0) return;
    const message = `must be divisible by ${times}, because each stride of 2 needs an even side`;
    context.addIssue({ code: "custom", path: ["side"], message });
  });

/** Configuration of the first stages of a MobileNetV2, its `config.json`. */
export type MobileNetV2Config = z.output<typeof schema>;

/** Checks a `config.json`; keys that start with `_` are notes. Throws ConfigError. */
export const parseMobileNetV2Config = (json: unknown, source = "config.json"): MobileNetV2Config =>
  parseConfig(schema, withoutPrivateKeys(json), source);

/** Side of a picture over side of what leaves the network: 2 for the stem and for each stage that halves. */
const reduction = ({ stages }: Pick<MobileNetV2Config, "stages">): number =>
  2 * stages.reduce((times, { stride }) => times * stride, 1);

interface Block {
  name: string;
  inputs: number;
  inner: number;
  outputs: number;
  stride: number;
}

function blocksOf({ stem, stages }: MobileNetV2Config): Block[] {
  let inputs = stem;
  return stages.flatMap(({ expansion, channels, blocks, stride }, s) =>
    Array.from({ length: blocks }, (_, b) => {
      const block = {
        name: `stages.${s}.${b}`,
        inputs,
        inner: expansion * inputs,
        outputs: channels,
        stride: b === 0 ? stride : 1,
      };
      inputs = channels;
      return block;
    }),
  );
}

/** Channels, height and width of what `mobilenetV2` makes of one picture. */
export function mobilenetV2Output(config: MobileNetV2Config): [channels: number, height: number, width: number] {
  const side = config.side / reduction(config);
  return [config.stages[config.stages.length - 1]!.channels, side, side];
}

/** Initial parameters, named `stem` and `stages.S.B.expand`, `.depthwise` and `.project`; expansion 1 has no `expand`. */
export function mobilenetV2Specs(config: MobileNetV2Config): ParamSpecs {
  const blocks = blocksOf(config).map(({ name, inputs, inner, outputs }) => ({
    ...(inner !== inputs && convSpecs(`${name}.expand`, inputs, inner, 1)),
    ...convSpecs(`${name}.depthwise`, 1, inner, 3),
    ...convSpecs(`${name}.project`, inner, outputs, 1),
  }));
  return Object.assign(convSpecs("stem", 3, config.stem, 3), ...blocks);
}

/**
 * The first stages of a MobileNetV2 [sandler2018mobilenetv2] without a classifier, batch normalisation folded into the
 * convolutions: pictures [B, 3, h, w] in [0, 1], resized bilinearly to `side`, → [B, channels, side', side']. An inverted
 * residual block widens by a 1×1 convolution, filters each channel alone by 3×3 and narrows by a linear 1×1 convolution;
 * where it keeps the shape, its input is added. A picture's output depends on that picture alone, and is differentiable
 * with respect to it.
 */
export function mobilenetV2(params: Params, config: MobileNetV2Config, images: Tensor): Tensor {
  if (images.rank !== 4 || images.shape[1] !== 3) {
    throw new ShapeError(`mobilenetV2: pictures [B, 3, h, w] are needed, but ${showShape(images.shape)} came.`);
  }
  const { side } = config;
  const sized = resize(images, [side, side]);
  let x = relu6(conv(params, "stem", padAfter(sized), { stride: 2 }));
  for (const { name, inputs, inner, outputs, stride } of blocksOf(config)) {
    const wide = inner === inputs ? x : relu6(conv(params, `${name}.expand`, x));
    const padded = stride === 1 ? { x: wide, padding: 1 } : { x: padAfter(wide), padding: 0 };
    const options = { stride, padding: padded.padding, groups: inner };
    const filtered = relu6(conv(params, `${name}.depthwise`, padded.x, options));
    const y = conv(params, `${name}.project`, filtered);
    x = stride === 1 && inputs === outputs ? x.add(y) : y;
  }
  return x;
}

const relu6 = (x: Tensor): Tensor => x.clip(0, 6);

/** Zeros below and to the right: TensorFlow's "same" padding of a 3×3 window at stride 2 on an even side. */
const padAfter = (x: Tensor): Tensor =>
  [2, 3].reduce((padded, axis) => apply("pad", [padded], { axis, before: 0, after: 1 }), x);
