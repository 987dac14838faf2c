import { z } from "zod";
import { ConfigError, ShapeError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { openOnnxFile } from "../models/onnx-file.ts";
import { importOnnx, neededPart, type OnnxModel, showAxes } from "../onnx/index.ts";
import { concat, constant, input, resize, showShape, type Tensor } from "../tensor/index.ts";
import { defineReward } from "./reward.ts";

const side = z.int().positive();
const options = z.strictObject({
  path: z.string().describe("an ONNX file, opset 9 to 23, that takes pictures"),
  size: z
    .union([side, z.tuple([side, side])])
    .optional()
    .describe("side, or height and width, of the pictures it takes; default: what the file says"),
  resize: z.enum(["bilinear", "bicubic"]).default("bilinear").describe("how pictures come to that size, antialiased"),
  range: z
    .union([z.literal(1), z.literal(255)])
    .default(1)
    .describe("the value of white, before mean and std"),
  mean: z.array(z.number()).length(3).default([0, 0, 0]).describe("subtracted per channel"),
  std: z.array(z.number().positive()).length(3).default([1, 1, 1]).describe("divided by per channel"),
  layout: z.enum(["nchw", "nhwc"]).default("nchw").describe("order of the axes of a batch of pictures"),
  output: z.string().optional().describe("name of the output that holds the score; default: the only one"),
  index: z.int().nonnegative().optional().describe("which number of the output; default: the only one"),
  scale: z.number().default(1).describe("what the score is multiplied by"),
});
type Options = z.output<typeof options>;

/** A network that takes `batch` pictures at once (any number when undefined) of one size. */
interface Scorer {
  model: OnnxModel;
  inputName: string;
  outputName: string;
  size: readonly [number, number];
  batch: number | undefined;
}

/**
 * A number that any ONNX network gives for a picture: r = scale · output[index], the input being
 * (range · resize(picture) − mean)/std. The file is translated into our operators, so that r has a gradient.
 */
export const onnx = defineReward({
  kind: "onnx",
  summary: "an output of a network in an ONNX file, such as an aesthetic score; looks at no prompt",
  options,
  async load(options) {
    const scorer = scorerOf(await openOnnxFile(shippedPath(options.path)), options);
    // Translated once for two pictures, so that what cannot be translated is found before anything heavy begins.
    const batch = scorer.batch ?? 2;
    scoresOf(scorer, options, input("pictures", [batch, 3, ...scorer.size]));
    return scorer;
  },
  score({ images }, options, scorer) {
    if (images.rank !== 4 || images.shape[1] !== 3)
      throw new ShapeError(`onnx: pictures [B, 3, H, W] are scored, but ${showShape(images.shape)} came.`);
    return scoresOf(scorer, options, images).mul(options.scale);
  },
});

/** What the file needs, compared with the options. Throws ConfigError when they do not fit. */
function scorerOf(model: OnnxModel, { output, size, layout }: Options): Scorer {
  const fail = (rule: string): never => {
    throw new ConfigError(`onnx: ${rule}`);
  };
  const listed = model.outputs.join(", ");
  if (output === undefined && model.outputs.length > 1)
    fail(`${model.name} has several outputs; give reward.output, one of ${listed}.`);
  if (output !== undefined && !model.outputs.includes(output))
    fail(`${model.name} has no output "${output}". It has ${listed}.`);
  const outputName = output ?? model.outputs[0]!;
  const { inputs } = neededPart(model, [outputName]);
  const [pictures] = inputs;
  if (!pictures || inputs.length > 1)
    return fail(
      `"${outputName}" of ${model.name} must depend on one input, the pictures, but depends on ${inputs.map(({ name }) => name).join(", ") || "none"}.`,
    );
  const { name: inputName, shape = [undefined, undefined, undefined, undefined], dtype, type } = pictures;
  const [channels, rows] = layout === "nchw" ? [1, 2] : [3, 1];
  if (dtype !== "float32" || type === "BOOL" || shape.length !== 4 || (shape[channels] ?? 3) !== 3) {
    fail(
      `input "${inputName}" of ${model.name} must be floats of the layout ${layout} with 3 channels, but is ${type} ${showAxes(shape)}. The other value of reward.layout is "${layout === "nchw" ? "nhwc" : "nchw"}".`,
    );
  }
  const stated = [shape[rows], shape[rows + 1]] as const;
  const given = typeof size === "number" ? [size, size] : size;
  const [height, width] = [given?.[0] ?? stated[0], given?.[1] ?? stated[1]];
  if (height === undefined || width === undefined)
    return fail(`${model.name} takes pictures of any size; give reward.size, the one it was trained on.`);
  if ((stated[0] ?? height) !== height || (stated[1] ?? width) !== width)
    fail(`${model.name} takes pictures of ${showAxes(stated)}, but reward.size is ${height}, ${width}. Leave it out.`);
  return { model, inputName, outputName, size: [height, width], batch: shape[0] };
}

/** Scores [B] of pictures [B, 3, H, W] in [0, 1], before scaling. */
function scoresOf(scorer: Scorer, options: Options, pictures: Tensor): Tensor {
  const count = pictures.shape[0]!;
  const batch = scorer.batch ?? count;
  if (count % batch !== 0) {
    throw new ShapeError(
      `onnx: ${scorer.model.name} takes ${batch} pictures at once, into which ${count} cannot be divided. Choose a batch that can, or export it with an open batch axis.`,
    );
  }
  const x = prepared(scorer.size, options, pictures);
  const parts = Array.from({ length: count / batch }, (_, k) => x.slice(0, k * batch, (k + 1) * batch));
  return concat(
    parts.map((part) => oneBatch(scorer, options, part, batch)),
    0,
  );
}

/** (range · resize(pictures) − mean)/std in the layout of the network. */
function prepared(size: Scorer["size"], options: Options, pictures: Tensor): Tensor {
  const { range, mean, std, layout } = options;
  const sized =
    pictures.shape[2] === size[0] && pictures.shape[3] === size[1]
      ? pictures
      : resize(pictures, size, { mode: options.resize, antialias: true });
  const perChannel = (values: readonly number[]) => constant(Float32Array.from(values), [3, 1, 1]);
  const x = sized.mul(perChannel(std.map((s) => range / s))).sub(perChannel(mean.map((m, c) => m / std[c]!)));
  return layout === "nchw" ? x : x.transpose([0, 2, 3, 1]);
}

function oneBatch({ model, inputName, outputName }: Scorer, { index }: Options, x: Tensor, batch: number): Tensor {
  const y = importOnnx(model, { [inputName]: x }, [outputName])[outputName]!;
  if (y.dtype !== "float32" || (batch > 1 && y.shape[0] !== batch) || y.size === 0) {
    throw new ConfigError(
      `onnx: "${outputName}" of ${model.name} must hold floats for each of ${batch} pictures, but is ${y.dtype} ${showShape(y.shape)}. Export it with an open batch axis and for inference.`,
    );
  }
  const numbers = y.size / batch;
  if (index === undefined ? numbers > 1 : index >= numbers) {
    throw new ConfigError(
      `onnx: "${outputName}" of ${model.name} has ${numbers} numbers per picture; give reward.index, from 0 to ${numbers - 1}.`,
    );
  }
  const at = index ?? 0;
  return y
    .reshape([batch, numbers])
    .slice(1, at, at + 1)
    .reshape([batch]);
}
