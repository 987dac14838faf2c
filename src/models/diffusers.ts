import { existsSync } from "node:fs";
import { z } from "zod";
import { ConfigError, FormatError } from "../core/errors.ts";
import { matchesGlob } from "../core/glob.ts";
import { addPrefix, type NamedArrays, withPrefix } from "../core/named-arrays.ts";
import { shippedPath } from "../core/package-root.ts";
import { loadTokenizer } from "../data/index.ts";
import { initialize, loraSpecs, type ParamSpecs, type Params, withLora } from "../nn/index.ts";
import { checkTensors, readDiffusersFolder } from "../weights/index.ts";
import { clipText, clipTextSpecs, clipTextWeights, parseClipTextConfig } from "./clip-text.ts";
import { decodeLatents } from "./codec.ts";
import { defineModel } from "./kind.ts";
import type { Adaptation, FinetuneOptions, Model, Network } from "./model.ts";
import { parseUNetConfig, type UNetConfig, unet, unetSpecs } from "./unet.ts";

const options = z.strictObject({
  path: z
    .string()
    .default("assets/models/animals-32")
    .describe("diffusers folder; assets/models/animals-32 is the bundled one"),
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
  load: async ({ path }) => loadDiffusers(path),
});

/** Reads a folder. Throws FormatError listing every tensor that is missing, extra or misshapen. */
export async function loadDiffusers(path: string): Promise<Model> {
  const dir = resolveFolder(path);
  const folder = await readDiffusersFolder(dir);
  const unetConfig = parseUNetConfig(folder.unet.config, `${path}/unet/config.json`);
  const textConfig = parseClipTextConfig(folder.textEncoder.config, `${path}/text_encoder/config.json`);
  const schedule = parsed(scheduler, folder.scheduler, `${path}/scheduler/scheduler_config.json`);
  parsed(codec, folder.codec, `${path}/codec/config.json`);
  const textWeights = clipTextWeights(folder.textEncoder.weights);
  checkTensors(unetSpecs(unetConfig), folder.unet.weights, `${path}/unet`);
  checkTensors(clipTextSpecs(textConfig), textWeights, `${path}/text_encoder`);
  const tokenizer = await loadTokenizer(folder.tokenizer);
  const weights = { ...addPrefix(folder.unet.weights, "unet."), ...addPrefix(textWeights, "text_encoder.") };
  const side = unetConfig.sample_size;
  const length = textConfig.max_position_embeddings;
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
    tokenLength: length,
    tokenize: (prompts) => tokenizer.encode(prompts, length),
    conditionShapes: { text: [length, textConfig.hidden_size] },
    encode: (params, tokens) => ({ text: clipText(withPrefix(params, "text_encoder."), textConfig, tokens) }),
    predict: (params, x, { t }, { text }) => unet(withPrefix(params, "unet."), unetConfig, x, t, text!),
    decode: decodeLatents,
    adaptation: (finetune) => adaptation(weights, finetune),
    flow: flowNetwork(unetConfig),
  };
}

/** The folder as given, or the bundled one of that name. */
function resolveFolder(path: string): string {
  const folder = shippedPath(path);
  if (existsSync(folder)) return folder;
  throw new ConfigError(
    `model.path: there is no folder ${path}. Give a diffusers folder, or assets/models/animals-32 for the bundled model.`,
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

/** g_φ: the same kind of U-Net at half the width, its last layer zero. */
function flowNetwork(config: UNetConfig): Network {
  const groups = Math.max(1, config.norm_num_groups / 2);
  const small: UNetConfig = {
    ...config,
    out_channels: config.in_channels,
    block_out_channels: config.block_out_channels.map((width) => width / 2),
    layers_per_block: 1,
    norm_num_groups: groups,
  };
  return {
    init(rng) {
      const zero = (name: string) => name.startsWith("conv_out.");
      const specs = Object.entries(unetSpecs(small)).map(([name, spec]) => [
        name,
        zero(name) ? { ...spec, init: "zeros" } : spec,
      ]);
      return initialize(Object.fromEntries(specs) as ParamSpecs, rng);
    },
    predict: (params: Params, x, { t }, { text }) => unet(params, small, x, t, text!),
  };
}
