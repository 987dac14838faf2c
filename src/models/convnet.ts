import { z } from "zod";
import { parseConfig } from "../core/config.ts";
import { ShapeError } from "../core/errors.ts";
import {
  conv,
  convSpecs,
  groupNorm,
  linear,
  linearSpecs,
  normSpecs,
  type ParamSpecs,
  type Params,
} from "../nn/index.ts";
import { avgPool2x, showShape, type Tensor } from "../tensor/index.ts";
import { withoutPrivateKeys } from "./private-keys.ts";

const size = z.int().positive();
const NORM_EPS = 1e-5;

const schema = z
  .strictObject({
    side: size.default(32).describe("height and width of the pictures"),
    widths: z.array(size).min(2).describe("channels per level; each level has half the side of the one before"),
    features: size.describe("length of the feature vector"),
    groups: size.default(8).describe("groups of a normalisation"),
    heads: z.record(z.string(), z.array(z.string()).min(2)).describe("names of the classes of each head"),
  })
  .superRefine(({ side, widths, groups }, context) => {
    const refuse = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    const halvings = 2 ** (widths.length - 1);
    if (side % halvings !== 0) refuse("side", `must be divisible by ${halvings} for ${widths.length} levels`);
    for (const width of widths.slice(1)) {
      if (width % groups !== 0) refuse("widths", `${width} is not divisible by groups = ${groups}`);
    }
  });

/** Configuration of a small residual classifier, its `config.json`. */
export type ConvnetConfig = z.output<typeof schema>;

/** Checks a `config.json`; keys that start with `_` are notes. Throws ConfigError. */
export const parseConvnetConfig = (json: unknown, source = "config.json"): ConvnetConfig =>
  parseConfig(schema, withoutPrivateKeys(json), source);

export interface ConvnetOutput {
  /** [B, features], what the heads read. */
  features: Tensor;
  /** [B, classes] per head. */
  logits: Readonly<Record<string, Tensor>>;
}

/** Initial parameters, named `stem`, `levels.K.down`, `levels.K.block.…`, `norm_out`, `features` and `heads.NAME`. */
export function convnetSpecs({ widths, features, heads }: ConvnetConfig): ParamSpecs {
  const levels = widths.slice(1).map((width, k) => ({
    ...convSpecs(`levels.${k}.down`, widths[k]!, width, 3),
    ...normSpecs(`levels.${k}.block.norm1`, width),
    ...convSpecs(`levels.${k}.block.conv1`, width, width, 3),
    ...normSpecs(`levels.${k}.block.norm2`, width),
    ...convSpecs(`levels.${k}.block.conv2`, width, width, 3),
  }));
  const last = widths[widths.length - 1]!;
  const outputs = Object.entries(heads).map(([name, classes]) =>
    linearSpecs(`heads.${name}`, features, classes.length),
  );
  return Object.assign(
    convSpecs("stem", 3, widths[0]!, 3),
    ...levels,
    normSpecs("norm_out", last),
    linearSpecs("features", last, features),
    ...outputs,
  );
}

/**
 * A residual network on pictures [B, 3, side, side] in [0, 1]: a 3×3 convolution, then per level a mean over 2×2, a 3×3
 * convolution to the level's width and one pre-activation residual block [he2016identity] with group normalisation;
 * the mean over positions gives the features by a linear map, and each head is linear in them. A picture's outputs
 * depend on that picture alone, and are differentiable with respect to it.
 */
export function convnet(params: Params, config: ConvnetConfig, images: Tensor): ConvnetOutput {
  const { side, widths, groups, heads } = config;
  if (images.rank !== 4 || images.shape[1] !== 3 || images.shape[2] !== side || images.shape[3] !== side) {
    throw new ShapeError(
      `convnet: this network reads pictures [B, 3, ${side}, ${side}], but ${showShape(images.shape)} came.`,
    );
  }
  const normalized = (name: string, x: Tensor) => groupNorm(params, name, x, groups, NORM_EPS).silu();
  let x = conv(params, "stem", images.mul(2).sub(1), { padding: 1 }).silu();
  for (let k = 0; k < widths.length - 1; k++) {
    const block = `levels.${k}.block`;
    x = conv(params, `levels.${k}.down`, avgPool2x(x), { padding: 1 });
    const h = conv(params, `${block}.conv1`, normalized(`${block}.norm1`, x), { padding: 1 });
    x = x.add(conv(params, `${block}.conv2`, normalized(`${block}.norm2`, h), { padding: 1 }));
  }
  const features = linear(params, "features", normalized("norm_out", x).mean([2, 3]));
  const logits = Object.keys(heads).map((name) => [name, linear(params, `heads.${name}`, features)] as const);
  return { features, logits: Object.fromEntries(logits) };
}
