import { cp, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { temporaryName } from "../../core/atomic-file.ts";
import { ConfigError, FormatError } from "../../core/errors.ts";
import { openFile } from "../byte-source.ts";
import { listProblems } from "../list-problems.ts";
import { decodeNumbers, encodeNumbers, type WrittenFormat } from "../number-formats.ts";
import { readHeader } from "../safetensors-file.ts";
import type { TensorEntry } from "../safetensors-header.ts";
import { components, type Lora, loraDelta, splitComponent } from "./lora.ts";

/** A weight in a file of a diffusers folder. */
interface Place {
  /** Relative to the folder. */
  file: string;
  entry: TensorEntry;
}

/** Linear and convolution modules of a diffusers folder, `unet.conv_in`, with the shape of their weight. */
export async function baseModules(folder: string): Promise<Map<string, readonly number[]>> {
  const places = await weightPlaces(folder);
  return new Map([...places].map(([module, [place]]) => [module, place!.entry.shape]));
}

/** Throws ConfigError listing the modules of a LoRA that a network does not have, or has in another shape. */
export function checkFits(lora: Lora, modules: ReadonlyMap<string, readonly number[]>, folder: string): void {
  const problems = Object.entries(lora).flatMap(([name, { down, up }]) => {
    const shape = modules.get(name);
    const own = [up.shape[0]!, ...down.shape.slice(1)];
    if (!shape) return [`it has no ${name}`];
    return String(squeezed(shape)) === String(squeezed(own))
      ? []
      : [`${name} is [${shape}] there, [${own}] in the LoRA`];
  });
  if (problems.length === 0) return;
  throw new ConfigError(
    `The LoRA is not for the model ${folder}: ${listProblems(problems)}. Give the model it was trained on.`,
  );
}

/** [out, in, 1, 1] as [out, in]: the same matrix. */
const squeezed = (shape: readonly number[]): readonly number[] =>
  shape.slice(2).every((side) => side === 1) ? shape.slice(0, 2) : shape;

/**
 * Copies a diffusers folder to `out` with W + ΔW in place of W, in every file that holds W and in its number format; all
 * other bytes stay. A crash leaves no `out`. Throws ConfigError when the LoRA does not fit, or when the weights of a network
 * it changes lie in files of torch.
 */
export async function mergeIntoFolder(lora: Lora, folder: string, out: string): Promise<void> {
  const places = await weightPlaces(folder);
  checkFits(lora, new Map([...places].map(([module, [place]]) => [module, place!.entry.shape])), folder);
  await refuseTorchFiles(lora, folder);
  const copy = temporaryName(out);
  try {
    await cp(folder, copy, { recursive: true });
    for (const [name, module] of Object.entries(lora)) {
      const { data } = loraDelta(module);
      for (const place of places.get(name)!) await addTo(join(copy, place.file), place.entry, data);
    }
    await rename(copy, out);
  } catch (error) {
    await rm(copy, { recursive: true, force: true });
    throw error;
  }
}

async function addTo(path: string, { name, dtype, begin, end }: TensorEntry, delta: Float64Array): Promise<void> {
  if (!["F32", "F16", "BF16"].includes(dtype)) {
    throw new FormatError(`${path}: ${name} is stored as ${dtype}; a LoRA is merged into F32, F16 or BF16 weights.`);
  }
  const file = await open(path, "r+");
  try {
    const bytes = new Uint8Array(end - begin);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, begin);
    if (bytesRead < bytes.length) throw new FormatError(`${path}: the file became shorter while it was read.`);
    const what = `${path}: ${name}`;
    const weights = decodeNumbers(bytes, dtype, what);
    const merged = weights.map((value, k) => value + delta[k]!);
    await file.write(encodeNumbers(merged, dtype as WrittenFormat, what), 0, bytes.length, begin);
  } finally {
    await file.close();
  }
}

/** Where the weight of each module lies; a folder can have it twice, in files of different precision. */
async function weightPlaces(folder: string): Promise<Map<string, Place[]>> {
  const places = new Map<string, Place[]>();
  for (const component of components) {
    for (const name of await filesOf(folder, component)) {
      if (!name.endsWith(".safetensors")) continue;
      const file = join(component, name);
      const entries = await entriesOf(join(folder, file));
      for (const entry of entries) {
        const module = moduleName(component, entry);
        if (module) places.set(module, [...(places.get(module) ?? []), { file, entry }]);
      }
    }
  }
  if (places.size > 0) return places;
  throw new ConfigError(
    `A base model is a diffusers folder with unet/ or transformer/ and safetensors weights in it, but ${folder} has none.`,
  );
}

/** Text encoders saved by transformers 5 leave out the `text_model.` that LoRA files have. */
function moduleName(component: string, { name, shape }: TensorEntry): string | undefined {
  if (!name.endsWith(".weight") || (shape.length !== 2 && shape.length !== 4)) return undefined;
  const path = name.slice(0, -".weight".length);
  const isBare = component.startsWith("text_encoder") && /^(encoder\.layers|embeddings)\./.test(path);
  return `${component}.${isBare ? "text_model." : ""}${path}`;
}

async function entriesOf(path: string): Promise<readonly TensorEntry[]> {
  const bytes = await openFile(path);
  try {
    return (await readHeader(bytes)).entries;
  } finally {
    await bytes.close();
  }
}

async function refuseTorchFiles(lora: Lora, folder: string): Promise<void> {
  for (const component of new Set(Object.keys(lora).map((name) => splitComponent(name)![0]))) {
    const torch = (await filesOf(folder, component)).filter((name) => /\.(bin|pt|pth|ckpt|onnx|msgpack)$/.test(name));
    if (torch.length === 0) continue;
    throw new ConfigError(
      `${join(folder, component)} also holds ${listProblems(torch)}, which would stay as they are. Merge into a copy of the folder without them.`,
    );
  }
}

/** Names in the folder of a network; none when there is no such folder. */
const filesOf = (folder: string, component: string): Promise<string[]> =>
  readdir(join(folder, component)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code !== "ENOTDIR") throw error;
    throw new ConfigError(`A base is a diffusers folder, but ${folder} is a file. Give the folder of the model.`);
  });
