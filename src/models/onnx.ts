import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { addPrefix, withPrefix } from "../core/named-arrays.ts";
import { shippedPath } from "../core/package-root.ts";
import { asConstants } from "../nn/index.ts";
import { type OnnxInput, showAxes } from "../onnx/index.ts";
import { fill, input, type Tensor } from "../tensor/index.ts";
import { decodeLatents } from "./codec.ts";
import { diffusers } from "./diffusers.ts";
import { flowUNet } from "./flow-unet.ts";
import { defineModel } from "./kind.ts";
import type { Model } from "./model.ts";
import { conditionOptions, type PromptCondition, promptCondition } from "./onnx-condition.ts";
import { type OnnxDenoiser, onnxDenoiser, predictWith, storedWeights } from "./onnx-denoiser.ts";
import { openOnnxFile } from "./onnx-file.ts";
import { denoiserInputs } from "./onnx-inputs.ts";
import { filePrefix, onnxAdaptation } from "./onnx-lora.ts";
import { onnxModules } from "./onnx-modules.ts";
import { parseUNetConfig, type UNetConfig } from "./unet.ts";

const size = z.int().positive();
const options = z.strictObject({
  path: z.string().describe("an ONNX file, opset 9 to 23, that predicts from a noisy picture and a time"),
  prediction: z.enum(["epsilon", "v_prediction", "sample"]).default("epsilon").describe("what it predicts"),
  scheduler: z
    .strictObject({
      trainSteps: size.default(1000),
      betaSchedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]),
      betaStart: z.number().positive().default(1e-4),
      betaEnd: z.number().positive().default(0.02),
    })
    .describe(
      "the noise schedule it was trained with: betaSchedule (linear, scaled_linear, squaredcos_cap_v2), betaStart, betaEnd, trainSteps",
    ),
  shape: z
    .tuple([size, size, size])
    .optional()
    .describe("channels, height and width of a state; default: what the file says"),
  codec: z
    .enum(["none", "pixel-unshuffle"])
    .default("none")
    .describe("how states in [-1, 1] become pictures: as they are, or 12 channels to 3 of twice the size"),
  condition: conditionOptions
    .default({ kind: "none" })
    .describe(
      "what prompts become: { kind: none }, { kind: classes, prompts: { PROMPT: CLASS }, unconditional: CLASS } or { kind: text, path: FOLDER }",
    ),
  inputs: z
    .strictObject({ state: z.string().optional(), time: z.string().optional(), condition: z.string().optional() })
    .prefault({})
    .describe(
      "names of the file's inputs: state, time, condition; default: the usual ones, or the only ones that can be meant",
    ),
  output: z.string().optional().describe("name of the output that is the prediction; default: the only one"),
});
type Options = z.output<typeof options>;

export const onnxModel = defineModel<Options>({
  kind: "onnx",
  summary: "a denoiser in an ONNX file; LoRA at weights chosen by the names of their modules",
  options,
  defaults: {
    ...diffusers.defaults,
    sampler: { kind: "ddpm", steps: 20, grid: "leading", guidance: 1 },
    finetune: { mode: "lora", rank: 8, alpha: 8, targets: ["*.to_q", "*.to_k", "*.to_v", "*.to_out.0"] },
  },
  load: loadOnnx,
});

/**
 * Reads a file. Throws FormatError for what is no ONNX model or cannot be translated, ConfigError for options that do not fit it.
 */
export async function loadOnnx(options: Options): Promise<Model> {
  const condition = await promptCondition(options.condition);
  const file = await openOnnxFile(shippedPath(options.path));
  const { inputs: names, output } = options;
  const inputs = denoiserInputs(file, { inputs: names, output, condition: options.condition.kind });
  if (options.condition.kind === "text") checkText(file.name, inputs.condition!, condition, options.condition.path);
  const modules = onnxModules(file);
  const denoiser = onnxDenoiser(file, inputs, modules);
  const stored = storedWeights(file);
  const shape = stateShape(denoiser, options.shape);
  const model: Model = {
    kind: "onnx",
    shape,
    imageShape: imageShape(shape, options.codec),
    prediction: options.prediction,
    scheduler: options.scheduler,
    weights: { ...addPrefix(stored, filePrefix), ...addPrefix(condition.weights, textPrefix) },
    tokenLength: condition.tokenLength,
    tokenize: condition.tokenize,
    conditionShapes: condition.shapes,
    encode: (params, tokens) => condition.encode(withPrefix(params, textPrefix), tokens),
    predict: (params, x, { t }, told) => predictWith(denoiser, params, x, t, condition.input?.(told)),
    decode: options.codec === "none" ? (states) => states.mul(0.5).add(0.5) : decodeLatents,
    adaptation: (finetune) => onnxAdaptation(modules, stored, finetune),
    flow: flowUNet(flowConfig(shape, condition.width), condition.text),
  };
  translateOnce(model, denoiser, condition);
  return model;
}

const textPrefix = "text_encoder.";

/** Refuses a text encoder whose texts have another length or width than the file states. */
function checkText(file: string, wanted: OnnxInput, { tokenLength, width }: PromptCondition, path: string): void {
  const [, length = tokenLength, features = width] = wanted.shape ?? [];
  if (length === tokenLength && features === width) return;
  throw new ConfigError(
    `model.condition: "${wanted.name}" of ${file} is ${showAxes(wanted.shape!)}, but the texts of ${path} have ${tokenLength} tokens of ${width} numbers. Give the folder of the text encoder that the network was trained with.`,
  );
}

/** So that what cannot be translated is found before anything heavy begins. */
function translateOnce(model: Model, { batch = 2 }: OnnxDenoiser, condition: PromptCondition): void {
  const zeros: Tensor = fill([batch], 0);
  const told = Object.entries(condition.shapes).map(([name, own]) => [name, input(name, [batch, ...own])]);
  model.predict(
    asConstants(model.weights),
    input("x", [batch, ...model.shape]),
    { t: input("t", [batch]), alphaBar: zeros, progress: zeros },
    Object.fromEntries(told) as Record<string, Tensor>,
  );
}

type StateShape = readonly [channels: number, height: number, width: number];

function stateShape({ file, inputs: { state } }: OnnxDenoiser, given: Options["shape"]): StateShape {
  const stated = [1, 2, 3].map((axis) => state.shape?.[axis]);
  const sizes = stated.map((stated, k) => given?.[k] ?? stated);
  if (sizes.includes(undefined)) {
    throw new ConfigError(
      `model.shape: "${state.name}" of ${file.name} is ${showAxes(state.shape ?? [undefined, ...stated])} with open axes; give [channels, height, width] of what it was trained on.`,
    );
  }
  if (stated.some((size, k) => size !== undefined && size !== sizes[k])) {
    throw new ConfigError(
      `model.shape: "${state.name}" of ${file.name} is ${showAxes(state.shape!)}, which [${given}] does not fit. Leave it out.`,
    );
  }
  return sizes as unknown as StateShape;
}

function imageShape([C, H, W]: StateShape, codec: Options["codec"]): readonly [3, number, number] {
  const [channels, factor] = codec === "none" ? [3, 1] : [12, 2];
  if (C === channels) return [3, factor * H, factor * W];
  throw new ConfigError(
    `model.codec: "${codec}" takes states of ${channels} channels, but these have ${C}. Networks with 3 channels need "none", with 12 "pixel-unshuffle"; latents of an autoencoder cannot be decoded here.`,
  );
}

/** g_φ: the file may hold any network, so a small U-Net of its own. Its levels halve the sides as often as they can be, twice at most. */
function flowConfig([C, H, W]: StateShape, width: number): UNetConfig {
  const halvings = [2, 1, 0].find((n) => H % 2 ** n === 0 && W % 2 ** n === 0)!;
  const plain = (name: string) => new Array<string>(halvings).fill(name);
  return parseUNetConfig({
    sample_size: Math.max(H, W),
    in_channels: C,
    out_channels: C,
    block_out_channels: [16, 32, 64].slice(0, halvings + 1),
    down_block_types: [...plain("DownBlock2D"), "CrossAttnDownBlock2D"],
    up_block_types: ["CrossAttnUpBlock2D", ...plain("UpBlock2D")],
    layers_per_block: 1,
    cross_attention_dim: width,
    attention_head_dim: 4,
    norm_num_groups: 8,
  });
}
