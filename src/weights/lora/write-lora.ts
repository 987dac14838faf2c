import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../core/atomic-file.ts";
import { ConfigError } from "../../core/errors.ts";
import type { NamedArray } from "../../core/named-arrays.ts";
import type { WrittenFormat } from "../number-formats.ts";
import { writeSafetensorsFile } from "../safetensors-file.ts";
import { adapterConfig } from "./adapter-config.ts";
import { kohyaFile } from "./kohya.ts";
import { type Component, components, type Lora, scaledUp } from "./lora.ts";

export const loraFormats = ["diffusers", "peft", "kohya"] as const;
export type LoraFormat = (typeof loraFormats)[number];

export interface WriteLoraOptions {
  /** Number format of the file. Default "F32". */
  dtype?: WrittenFormat;
  /** Name of a kohya file, without ending; the other formats have fixed names. Default "lora". */
  name?: string;
  /** The model that a peft folder names. */
  baseModel?: string;
}

/**
 * Writes a LoRA into a folder; gives the paths of the files. diffusers: `pytorch_lora_weights.safetensors`; peft:
 * `adapter_config.json` and `adapter_model.safetensors`, in a folder for each network if there are several; kohya: one file
 * that A1111 and ComfyUI read. The same bytes for the same LoRA.
 */
export async function writeLora(
  folder: string,
  lora: Lora,
  format: LoraFormat,
  { dtype = "F32", name = "lora", baseModel }: WriteLoraOptions = {},
): Promise<string[]> {
  if (Object.keys(lora).length === 0) throw new ConfigError("A LoRA has at least one module; this one has none.");
  await mkdir(folder, { recursive: true });
  if (format === "peft") return writePeft(folder, lora, dtype, baseModel);
  const { tensors, metadata } = format === "kohya" ? kohyaFile(lora, dtype) : diffusersFile(lora);
  const file = join(folder, format === "kohya" ? `${name}.safetensors` : "pytorch_lora_weights.safetensors");
  await writeSafetensorsFile(file, tensors, metadata, dtype);
  return [file];
}

/**
 * Readers before diffusers 0.34, and ComfyUI, look at no metadata and take alpha = rank. So that all read the same
 * strength, alpha/rank is multiplied into B, and the metadata say alpha = rank.
 */
function diffusersFile(lora: Lora): { tensors: Record<string, NamedArray>; metadata: Record<string, string> } {
  const tensors: Record<string, NamedArray> = {};
  for (const [name, module] of Object.entries(lora)) {
    tensors[`${name}.lora_A.weight`] = module.down;
    tensors[`${name}.lora_B.weight`] = scaledUp(module);
  }
  const configs = byComponent(lora).flatMap(([component, modules]) =>
    Object.entries(adapterConfig(modules, ({ rank }) => rank)).map(([key, value]) => [`${component}.${key}`, value]),
  );
  const sorted = configs.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return { tensors, metadata: { lora_adapter_metadata: JSON.stringify(Object.fromEntries(sorted), null, 2) } };
}

async function writePeft(
  folder: string,
  lora: Lora,
  dtype: WrittenFormat,
  baseModel: string | undefined,
): Promise<string[]> {
  const parts = byComponent(lora);
  const files: string[] = [];
  for (const [component, modules] of parts) {
    const file = (name: string) => join(folder, parts.length > 1 ? component : "", name);
    const config = {
      peft_type: "LORA",
      task_type: null,
      base_model_name_or_path: baseModel ?? null,
      ...adapterConfig(modules, ({ alpha }) => alpha),
      lora_dropout: 0,
      bias: "none",
      fan_in_fan_out: false,
      inference_mode: true,
    };
    const tensors = Object.entries(modules).flatMap(([path, { down, up }]) => [
      [`base_model.model.${path}.lora_A.weight`, down],
      [`base_model.model.${path}.lora_B.weight`, up],
    ]);
    const [weights, settings] = [file("adapter_model.safetensors"), file("adapter_config.json")];
    await mkdir(dirname(weights), { recursive: true });
    await writeSafetensorsFile(weights, Object.fromEntries(tensors), {}, dtype);
    await writeFileAtomic(settings, `${JSON.stringify(config, null, 2)}\n`);
    files.push(settings, weights);
  }
  return files;
}

/** The modules of each network, named inside it. */
function byComponent(lora: Lora): [Component, Lora][] {
  return components.flatMap((component): [Component, Lora][] => {
    const own = Object.entries(lora).filter(([name]) => name.startsWith(`${component}.`));
    return own.length === 0
      ? []
      : [[component, Object.fromEntries(own.map(([name, module]) => [name.slice(component.length + 1), module]))]];
  });
}
