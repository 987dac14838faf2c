import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ConfigError, FormatError } from "../../core/errors.ts";
import { type NamedArray, type NamedArrays, withPrefix } from "../../core/named-arrays.ts";
import { isJsonObject, parseJson } from "../../core/parse-json.ts";
import { listProblems } from "../list-problems.ts";
import { readJsonObject } from "../parse-json.ts";
import { readSafetensorsFile } from "../safetensors-file.ts";
import { type AdapterConfig, effectiveAlpha, parseAdapterConfig } from "./adapter-config.ts";
import { withoutFluxNames } from "./flux-names.ts";
import { dottedKey } from "./keys.ts";
import { isKohyaName, type KohyaNames, kohyaKey } from "./kohya.ts";
import { type Component, components, type Lora, type LoraModule, loraModule, splitComponent } from "./lora.ts";

const adapterFiles = { config: "adapter_config.json", weights: "adapter_model.safetensors" } as const;

/** What a safetensors file holds. */
export interface LoraContent {
  readonly tensors: NamedArrays;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Strengths by component, where the file or a file beside it states them. */
type Configs = Partial<Record<Component, AdapterConfig>>;

/**
 * Reads a LoRA of any of five dialects: a safetensors file of diffusers (new or old names, attention processors) or of
 * kohya's scripts, or a peft folder; a folder may also hold one such file, or a peft folder for each network. `names`
 * resolves kohya names. Throws FormatError listing what is unknown, missing or misshapen, ConfigError when there is no LoRA.
 */
export async function readLora(path: string, names: KohyaNames = {}): Promise<Lora> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    (error: NodeJS.ErrnoException) => {
      throw new ConfigError(
        `The LoRA ${path} cannot be read (${error.code}). Give a .safetensors file or a peft folder.`,
      );
    },
  );
  if (isFolder) return readFolder(path, names);
  if (!path.endsWith(".safetensors")) {
    throw new ConfigError(
      `A LoRA is a .safetensors file or a peft folder, but ${basename(path)} came. Files of torch can run code when they are opened: convert them with the tool that wrote them.`,
    );
  }
  if (basename(path) === adapterFiles.weights) return readPeftFolder(dirname(path));
  return loraOf(await readSafetensorsFile(path), path, names);
}

async function readFolder(path: string, names: KohyaNames): Promise<Lora> {
  const entries = await readdir(path);
  if (entries.includes(adapterFiles.config)) return readPeftFolder(path);
  const parts = components.filter((component) => entries.includes(component));
  if (parts.length > 0 && !entries.includes("model_index.json")) {
    const loras = await Promise.all(parts.map((part) => readPeftFolder(join(path, part), part)));
    return Object.assign({}, ...loras);
  }
  const files = entries.filter((name) => name.endsWith(".safetensors"));
  if (files.length === 1) return readLora(join(path, files[0]!), names);
  throw new ConfigError(
    `A LoRA folder holds ${adapterFiles.config} or one .safetensors file, but ${path} holds ${listProblems(entries) || "nothing"}. Give the file itself.`,
  );
}

async function readPeftFolder(path: string, component?: Component): Promise<Lora> {
  const source = join(path, adapterFiles.config);
  const config = parseAdapterConfig(await readJsonObject(source), source);
  const file = join(path, adapterFiles.weights);
  const configs = Object.fromEntries(components.map((name) => [name, config]));
  const lora = assemble(await readSafetensorsFile(file), file, dottedKey, configs);
  if (component === undefined) return lora;
  return Object.fromEntries(Object.entries(lora).map(([name, m]) => [`${component}.${splitComponent(name)![1]}`, m]));
}

/** A LoRA from the content of one file; `source` names it in errors. */
export function loraOf(content: LoraContent, source: string, names: KohyaNames = {}): Lora {
  const isKohya = Object.keys(content.tensors).some(isKohyaName);
  if (isKohya) {
    const tensors = withoutFluxNames(content.tensors, source);
    return assemble({ ...content, tensors }, source, (key) => kohyaKey(key, names), {});
  }
  return assemble(content, source, dottedKey, adapterMetadata(content.metadata, source));
}

/** What diffusers since 0.34 writes beside the tensors: LoraConfig keys with the component in front, `unet.lora_alpha`. */
function adapterMetadata(metadata: LoraContent["metadata"], source: string): Configs {
  const text = metadata.lora_adapter_metadata;
  if (text === undefined) return {};
  const entries = parseJson(text, `${source}: lora_adapter_metadata`);
  if (!isJsonObject(entries)) throw new FormatError(`${source}: lora_adapter_metadata must be a JSON object.`);
  const configs: Configs = {};
  for (const component of components) {
    const own = withPrefix(entries, `${component}.`);
    if (Object.keys(own).length > 0) configs[component] = parseAdapterConfig(own, `${source}: lora_adapter_metadata`);
  }
  return configs;
}

/** Puts the tensors of each module together. No alpha anywhere means alpha = rank; so does a written alpha of 0 (kohya). */
function assemble({ tensors }: LoraContent, source: string, read: typeof dottedKey, configs: Configs): Lora {
  const found: Record<string, Partial<Record<"down" | "up" | "alpha", NamedArray>>> = {};
  const unknown: string[] = [];
  const twice: string[] = [];
  for (const [key, tensor] of Object.entries(tensors)) {
    const place = read(key);
    if (!place) {
      unknown.push(key);
      continue;
    }
    found[place.module] ??= {};
    const parts = found[place.module]!;
    if (parts[place.part]) twice.push(key);
    parts[place.part] = tensor;
  }
  const incomplete = Object.keys(found).filter((name) => !found[name]!.down || !found[name]!.up);
  refuse(source, unknown, incomplete, twice);
  if (Object.keys(found).length === 0) throw new FormatError(`${source} has no tensors, so that it is no LoRA.`);
  const modules = Object.entries(found).map(([name, { down, up, alpha }]): [string, LoraModule] => {
    const [component, inside] = splitComponent(name)!;
    const config = configs[component];
    const written = alpha?.data[0] || undefined;
    const rank = down!.shape[0] ?? 0;
    const stated = config && effectiveAlpha(config, inside, rank, source);
    return [name, loraModule(name, down!, up!, written ?? stated, source)];
  });
  return Object.fromEntries(modules);
}

function refuse(
  source: string,
  unknown: readonly string[],
  incomplete: readonly string[],
  twice: readonly string[],
): void {
  const problems: string[] = [];
  if (unknown.some((key) => /dora_scale|lora_magnitude_vector/.test(key))) {
    problems.push("DoRA also rescales the weights, so that it is no addition to them");
  }
  if (unknown.length > 0) problems.push(`unknown tensors: ${listProblems(unknown)}`);
  if (incomplete.length > 0) problems.push(`modules without A or without B: ${listProblems(incomplete)}`);
  if (twice.length > 0) problems.push(`tensors of one module under two names: ${listProblems(twice)}`);
  if (problems.length === 0) return;
  throw new FormatError(
    `${source} cannot be read as a LoRA: ${problems.join("; ")}. If these are kohya names of another network, give its folder with --base; other kinds of adapter must be merged where they were made.`,
  );
}
