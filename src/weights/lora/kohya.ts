import { createHash } from "node:crypto";
import { ConfigError, FormatError } from "../../core/errors.ts";
import type { NamedArray, NamedArrays } from "../../core/named-arrays.ts";
import { encodeNumbers, type WrittenFormat } from "../number-formats.ts";
import { buildHeader } from "../safetensors-header.ts";
import { mostCommon } from "./adapter-config.ts";
import type { LoraKey } from "./keys.ts";
import { type Component, type Lora, scaledUp, splitComponent } from "./lora.ts";
import { diffusersName } from "./sgm-names.ts";
import { dottedPath, underscored } from "./underscored-names.ts";

// The dialect of kohya's sd-scripts, which A1111 and ComfyUI read: `lora_unet_down_blocks_0_…_to_q.lora_down.weight`,
// `.lora_up.weight` and a number `.alpha`.

/** A text encoder is te in SD 1 and 2; SDXL has te1 and te2. */
const prefixes: readonly [string, Component][] = [
  ["lora_unet_", "unet"],
  ["lora_transformer_", "transformer"],
  ["lora_te_", "text_encoder"],
  ["lora_te1_", "text_encoder"],
  ["lora_te2_", "text_encoder_2"],
  ["lora_te3_", "text_encoder_3"],
];

export interface KohyaNames {
  /** Modules of the network, component first, when it is at hand. */
  modules?: readonly string[] | undefined;
  /** Residual blocks in a block of the U-Net: 2 in every Stable Diffusion. Needed for SDXL names. */
  layersPerBlock?: number | undefined;
}

/** Reads a tensor name of this dialect; undefined when it is none, or no module has that name. */
export function kohyaKey(key: string, { modules, layersPerBlock = 2 }: KohyaNames): LoraKey | undefined {
  const [, name, ending] = /^(lora_[^.]+)\.(lora_down\.weight|lora_up\.weight|alpha)$/.exec(key) ?? [];
  const prefix = prefixes.find(([start]) => name?.startsWith(start));
  if (!name || !prefix) return undefined;
  const [start, component] = prefix;
  const inside = modules?.flatMap((module) => {
    const [of, path] = splitComponent(module) ?? [];
    return of === component ? [path!] : [];
  });
  const bare = name.slice(start.length);
  const path = dottedPath(component === "unet" ? diffusersName(bare, layersPerBlock) : bare, inside);
  if (path === undefined) return undefined;
  const part = ending === "alpha" ? "alpha" : ending === "lora_up.weight" ? "up" : "down";
  return { module: `${component}.${path}`, part };
}

export const isKohyaName = (key: string): boolean => prefixes.some(([start]) => key.startsWith(start));

/**
 * The tensors and the `__metadata__` of a file in this dialect. alpha is the one most modules have, and the others have the
 * difference in B: of several alphas in a file, diffusers 0.42 gives attention modules the most common one.
 */
export function kohyaFile(
  lora: Lora,
  dtype: WrittenFormat,
): { tensors: NamedArrays; metadata: Record<string, string> } {
  const names = Object.keys(lora).sort();
  const twoEncoders = names.some((name) => name.startsWith("text_encoder_2."));
  const alpha = mostCommon(names.map((name) => lora[name]!.alpha)) || 1; // 0 would be read as "no alpha"
  const tensors: Record<string, NamedArray> = {};
  for (const name of names) {
    const module = lora[name]!;
    const written = kohyaName(name, twoEncoders);
    if (tensors[`${written}.alpha`]) throw new FormatError(`Two modules have the kohya name ${written}.`);
    tensors[`${written}.lora_down.weight`] = module.down;
    tensors[`${written}.lora_up.weight`] = scaledUp(module, module.rank / alpha);
    tensors[`${written}.alpha`] = { shape: [], data: Float32Array.of(alpha) };
  }
  const metadata = networkMetadata(lora, alpha);
  return { tensors, metadata: { ...metadata, ...hashes(tensors, metadata, dtype) } };
}

function kohyaName(name: string, twoEncoders: boolean): string {
  const [component, path] = splitComponent(name)!;
  if (component === "transformer") {
    throw new ConfigError(
      `Kohya names of a transformer are those of its original code, which we do not write: ${name}. Use the diffusers format, which ComfyUI reads, too.`,
    );
  }
  const number = component === "text_encoder" && twoEncoders ? "1" : component.replace(/^text_encoder_?/, "");
  return `lora_${component === "unet" ? "unet" : `te${number}`}_${underscored(path)}`;
}

/** What A1111 shows and what it chooses the network type by. */
function networkMetadata(lora: Lora, alpha: number): Record<string, string> {
  const modules = Object.values(lora);
  const ofKernel = (large: boolean) => modules.filter(({ down }) => (down.shape[2] ?? 1) > 1 === large);
  const [linear, conv] = [ofKernel(false), ofKernel(true)];
  const main = linear.length > 0 ? linear : conv;
  const dim = (of: Lora[string][]) => String(mostCommon(of.map(({ rank }) => rank)));
  const args = conv.length > 0 ? { conv_dim: dim(conv), conv_alpha: String(alpha) } : {};
  return {
    ss_network_module: "networks.lora",
    ss_network_dim: dim(main),
    ss_network_alpha: String(alpha),
    ss_network_args: JSON.stringify(args),
    ...baseVersion(lora),
  };
}

/** Kohya's word for the model that was trained, by the width of its text encoding; nothing for other models. */
function baseVersion(lora: Lora): Record<string, string> {
  const key = Object.keys(lora).find((name) => name.startsWith("unet.") && /\.attn2\.to_[kv]$/.test(name));
  const version: Record<number, string> = { 768: "sd_v1", 1024: "sd_v2", 2048: "sdxl_base_v1-0" };
  const found = key && version[lora[key]!.down.shape[1]!];
  return found ? { ss_base_model_version: found, ss_v2: found === "sd_v2" ? "True" : "False" } : {};
}

/**
 * By these A1111 and Civitai know a file again, whatever its name and description: sha256 of the tensors' bytes, and the first
 * 8 digits of the sha256 of 64 KiB at 1 MiB of a file that has only the `ss_` metadata.
 */
function hashes(tensors: NamedArrays, metadata: Record<string, string>, dtype: WrittenFormat): Record<string, string> {
  const names = Object.keys(tensors).sort();
  const parts = names.map((name) => encodeNumbers(tensors[name]!.data, dtype, `Tensor "${name}"`));
  const entries = names.map((name, k) => ({ name, dtype, shape: tensors[name]!.shape, bytes: parts[k]!.length }));
  const sha256 = (bytes: readonly Uint8Array[]) =>
    bytes.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");
  const from = 0x100000;
  const whole = [buildHeader(entries, metadata), ...parts];
  return { sshs_model_hash: sha256(parts), sshs_legacy_hash: sha256(range(whole, from, from + 0x10000)).slice(0, 8) };
}

/** The bytes [begin, end) of a sequence of pieces; fewer where it ends before. */
function range(pieces: readonly Uint8Array[], begin: number, end: number): Uint8Array[] {
  let at = 0;
  return pieces.map((piece) => {
    const cut = piece.subarray(Math.max(0, begin - at), Math.max(0, end - at));
    at += piece.length;
    return cut;
  });
}
