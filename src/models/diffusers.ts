import { existsSync } from "node:fs";
import { z } from "zod";
import { ConfigError, FormatError } from "../core/errors.ts";
import { matchesGlob } from "../core/glob.ts";
import { addPrefix, type NamedArrays, withPrefix } from "../core/named-arrays.ts";
import { shippedPath } from "../core/package-root.ts";
import { initialize, loraSpecs, withLora } from "../nn/index.ts";
import { checkTensors, readDiffusersFolder } from "../weights/index.ts";
import { decodeLatents } from "./codec.ts";
import { flowUNet } from "./flow-unet.ts";
import { defineModel } from "./kind.ts";
import type { Adaptation, FinetuneOptions, Model } from "./model.ts";
import { textEncoder } from "./text-encoder.ts";
import { parseUNetConfig, type UNetConfig, type UNetOptions, unet, unetSpecs } from "./unet.ts";

const options = z.strictObject({
  path: z
    .string()
    .default("assets/models/animals-32")
    .describe("diffusers folder, or hf:owner/name@revision; assets/models/animals-32 is the bundled one"),
  variant: z
    .string()
    .regex(/^[\w.-]+$/)
    .optional()
    .describe(
      "files such as diffusion_pytorch_model.VARIANT.safetensors, where a part has them; default: the plain ones",
    ),
  gradientCheckpointing: z
    .boolean()
    .default(false)
    .describe("compute the inside of blocks again for the backward pass: about half the memory, 1.2 × the time"),
});

const scheduler = z.looseObject({
  num_train_timesteps: z.int().positive(),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]),
  beta_start: z.number().positive(),
  beta_end: z.number().positive(),
  prediction_type: z.enum(["epsilon", "v_prediction", "sample"]).default("epsilon"),
});
const codec = z.strictObject({ _class_name: z.literal("PixelUnshuffle"), factor: z.literal(2) });

const optimizer = { lr: 1e-3, betas: [0.9, 0.95], weightDecay: 1e-4, clip: 1 };

export const diffusers = defineModel<z.output<typeof options>>({
  kind: "diffusers",
  summary: "a diffusers folder: UNet2DConditionModel and CLIPTextModel behind a pixel codec",
  options,
  defaults: {
    sampler: { kind: "ddpm", steps: 20, grid: "leading", guidance: 2 },
    objective: { kind: "residual-nabla-db" },
    finetune: {
      mode: "lora",
      rank: 8,
      alpha: 8,
      targets: ["*.to_q", "*.to_k", "*.to_v", "*.to_out.0", "*.conv1", "*.conv2"],
    },
    train: {
      updates: 100,
      trajectories: 32,
      strata: 5,
      checkpointEvery: 10,
      block: 16,
      accumulate: 6, // divides trajectories × (strata + 1) for any number of trajectories
      optimizer,
      flowOptimizer: { ...optimizer, weightDecay: 1e-2 },
    },
  },
  load: ({ path, ...options }) => loadDiffusers(path, options),
});

export interface LoadDiffusersOptions extends UNetOptions {
  /** Reads `….VARIANT.safetensors` where a part has it. */
  variant?: string | undefined;
}

/** Reads a folder. Throws FormatError listing every tensor that is missing, extra or misshapen. */
export async function loadDiffusers(
  path: string,
  { variant, gradientCheckpointing = false }: LoadDiffusersOptions = {},
): Promise<Model> {
  const dir = resolveFolder(path);
  const folder = await readDiffusersFolder(dir, { variant });
  const unetConfig = parseUNetConfig(folder.unet.config, `${path}/unet/config.json`);
  const text = await textEncoder(folder.textEncoder, folder.tokenizer, `${path}/text_encoder`);
  const schedule = parsed(scheduler, folder.scheduler, `${path}/scheduler/scheduler_config.json`);
  parsed(codec, folder.codec, `${path}/codec/config.json`);
  checkTensors(unetSpecs(unetConfig), folder.unet.weights, `${path}/unet`);
  const weights = { ...addPrefix(folder.unet.weights, "unet."), ...addPrefix(text.weights, "text_encoder.") };
  const side = unetConfig.sample_size;
  return {
    kind: "diffusers",
    shape: [unetConfig.in_channels, side, side],
    imageShape: [3, 2 * side, 2 * side],
    prediction: schedule.prediction_type,
    scheduler: {
      trainSteps: schedule.num_train_timesteps,
      betaSchedule: schedule.beta_schedule,
      betaStart: schedule.beta_start,
      betaEnd: schedule.beta_end,
    },
    weights,
    tokenLength: text.length,
    tokenize: text.tokenize,
    conditionShapes: { text: [text.length, text.width] },
    encode: (params, tokens) => ({ text: text.encode(withPrefix(params, "text_encoder."), tokens) }),
    predict: (params, x, { t }, { text }) =>
      unet(withPrefix(params, "unet."), unetConfig, x, t, text!, { gradientCheckpointing }),
    decode: decodeLatents,
    adaptation: (finetune) => adaptation(weights, finetune),
    flow: flowUNet(flowConfig(unetConfig), ({ text }) => text!),
  };
}

/** The folder as given, or the bundled one of that name. */
function resolveFolder(path: string): string {
  const folder = shippedPath(path);
  if (existsSync(folder)) return folder;
  throw new ConfigError(
    `model.path: there is no folder ${path}. Give a diffusers folder, assets/models/animals-32 for the bundled model, or hf:owner/name for one of the hub.`,
  );
}

function parsed<T>(schema: z.ZodType<T>, json: unknown, source: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new FormatError(`${source}: ${result.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`).join("; ")}`);
}

/** LoRA on the modules of the U-Net that match, or all their parameters. */
function adaptation(weights: NamedArrays, { mode, rank, alpha, targets }: FinetuneOptions): Adaptation {
  const unetWeights = withPrefix(weights, "unet.");
  if (mode === "lora") {
    const specs = loraSpecs(unetWeights, targets, rank);
    return {
      init: (rng) => addPrefix(initialize(specs, rng), "unet."),
      bind: (frozen, trained) => withLora(frozen, trained, alpha / rank),
    };
  }
  const moduleOf = (name: string) => name.replace(/\.(weight|bias)$/, "");
  const chosen = Object.keys(unetWeights).filter((name) =>
    targets.some((target) => matchesGlob(target, moduleOf(name))),
  );
  if (chosen.length === 0) {
    throw new ConfigError(`finetune.targets: ${targets.join(", ")} match no module of the U-Net. Use "*" for all.`);
  }
  return {
    init: () => Object.fromEntries(chosen.map((name) => [`unet.${name}`, unetWeights[name]!])),
    bind: (frozen, trained) => ({ ...frozen, ...trained }),
  };
}

/** g_φ: the same kind of U-Net at half the width. */
const flowConfig = (config: UNetConfig): UNetConfig => ({
  ...config,
  out_channels: config.in_channels,
  block_out_channels: config.block_out_channels.map((width) => width / 2),
  layers_per_block: 1,
  norm_num_groups: Math.max(1, config.norm_num_groups / 2),
});
