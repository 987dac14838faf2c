import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../core/atomic-file.ts";
import { FormatError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { findWeights } from "./find-weights.ts";
import { readOrMapWeights } from "./mapped-weights.ts";
import { readJsonObject } from "./parse-json.ts";
import { writeSafetensorsFile } from "./safetensors-file.ts";

/** A network of a diffusers folder: its config.json and its weights. */
export interface FolderPart {
  config: Record<string, unknown>;
  weights: NamedArrays;
}

/** The parts of a text-to-image folder without a VAE; `codec` says how pixels become latents instead. */
export interface DiffusersFolder {
  unet: FolderPart;
  textEncoder: FolderPart;
  scheduler: Record<string, unknown>;
  codec: Record<string, unknown>;
  /** Folder of the tokenizer's files. */
  tokenizer: string;
}

const diffusersVersion = "0.42.1"; // the one whose names and keys were checked (reference/unet_golden.py)
const weightFiles = { unet: "diffusion_pytorch_model.safetensors", text_encoder: "model.safetensors" } as const;

/** Writes a folder that diffusers reads part by part: `UNet2DConditionModel.from_pretrained(dir, subfolder="unet")`. */
export async function writeDiffusersFolder(
  dir: string,
  { unet, textEncoder, scheduler, codec, tokenizer }: DiffusersFolder,
  dtype: "F32" | "F16" = "F32",
): Promise<void> {
  const index = {
    _class_name: "DiffusionPipeline",
    _diffusers_version: diffusersVersion,
    scheduler: ["diffusers", scheduler._class_name],
    text_encoder: ["transformers", "CLIPTextModel"],
    tokenizer: ["transformers", "CLIPTokenizer"],
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: [null, null],
  };
  const unetConfig = { _class_name: "UNet2DConditionModel", _diffusers_version: diffusersVersion, ...unet.config };
  const textConfig = { architectures: ["CLIPTextModel"], model_type: "clip_text_model", ...textEncoder.config };
  for (const part of ["unet", "text_encoder", "scheduler", "codec"]) await mkdir(join(dir, part), { recursive: true });
  await writeSafetensorsFile(join(dir, "unet", weightFiles.unet), unet.weights, {}, dtype);
  await writeSafetensorsFile(join(dir, "text_encoder", weightFiles.text_encoder), textEncoder.weights, {}, dtype);
  await writeJson(join(dir, "unet", "config.json"), unetConfig);
  await writeJson(join(dir, "text_encoder", "config.json"), textConfig);
  await writeJson(join(dir, "scheduler", "scheduler_config.json"), scheduler);
  await writeJson(join(dir, "codec", "config.json"), codec);
  await cp(tokenizer, join(dir, "tokenizer"), { recursive: true });
  await writeJson(join(dir, "model_index.json"), index);
}

/**
 * Reads such a folder. A network's weights may lie in shards. With a `variant` such as "fp16" its files are taken where a
 * part has them (`diffusion_pytorch_model.fp16.safetensors`), else those without a variant. Throws FormatError naming
 * the file that is missing or broken. A network of 1 GiB or more stays in its file, see mapWeights.
 */
export async function readDiffusersFolder(
  dir: string,
  { variant }: { variant?: string | undefined } = {},
): Promise<DiffusersFolder> {
  await readJsonObject(join(dir, "model_index.json"));
  const unet = await findWeights(join(dir, "unet"), variant);
  const textEncoder = await findWeights(join(dir, "text_encoder"), variant);
  if (variant !== undefined && unet.variant !== variant && textEncoder.variant !== variant) {
    const known = [...new Set([...unet.variants, ...textEncoder.variants])];
    throw new FormatError(
      `${dir} has no weights of the variant "${variant}"${known.length > 0 ? `, but of ${known.join(", ")}` : " or any other"}. Leave the variant out for the plain files.`,
    );
  }
  const part = async (name: string, weights: string): Promise<FolderPart> => ({
    config: await readJsonObject(join(dir, name, "config.json")),
    weights: await readOrMapWeights(weights),
  });
  return {
    unet: await part("unet", unet.path),
    textEncoder: await part("text_encoder", textEncoder.path),
    scheduler: await readJsonObject(join(dir, "scheduler", "scheduler_config.json")),
    codec: await readJsonObject(join(dir, "codec", "config.json")),
    tokenizer: join(dir, "tokenizer"),
  };
}

const writeJson = (path: string, value: unknown) =>
  writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)]);
