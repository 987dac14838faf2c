import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { findWeights, holdsWeights, weightsName } from "./find-weights.ts";
import { describeLora, type LoraDescription } from "./lora/describe.ts";
import type { NumberFormat } from "./number-formats.ts";
import { openWeights } from "./open-weights.ts";
import { readJsonObject } from "./parse-json.ts";
import { countOf } from "./tensor-shape.ts";
import { type WeightsFile, type WeightsKind, withWeights } from "./weights-file.ts";

/** What weights are, without their numbers. */
export interface WeightsDescription {
  readonly kind: WeightsKind;
  /** Of a folder: the precisions it has besides, or instead of, the one that is described, such as fp16. */
  readonly variants?: readonly string[];
  /** Class names of a config.json beside the weights, such as UNet2DConditionModel. */
  readonly architecture?: string;
  readonly parameters: number;
  readonly tensors: number;
  /** Number of tensors of each format. */
  readonly dtypes: Readonly<Partial<Record<NumberFormat, number>>>;
  /** Of the files. */
  readonly bytes: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly lora?: LoraDescription;
}

export interface DiffusersDescription {
  readonly kind: "diffusers folder";
  readonly architecture: string;
  readonly parameters: number;
  /** Networks by folder, and classes of the parts that have no weights. */
  readonly parts: Readonly<Record<string, WeightsDescription | { readonly architecture: string }>>;
}

/**
 * Describes a file of weights, or a folder with weights and perhaps a config.json; of several precisions the plain one, else
 * the first. Reads no numbers but a LoRA's.
 */
export async function describeWeights(path: string): Promise<WeightsDescription> {
  const { chosen, variants } = await weightsAt(path);
  return withWeights(openWeights(chosen), async (file) => {
    const architecture = await architectureIn(path);
    const lora = await describeLora(file);
    return {
      kind: file.source.kind,
      ...(variants.length > 0 && { variants }),
      ...(architecture !== undefined && { architecture }),
      ...count(file),
      bytes: file.source.size,
      metadata: file.metadata,
      ...(lora && { lora }),
    };
  });
}

async function weightsAt(path: string): Promise<{ chosen: string; variants: readonly string[] }> {
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return { chosen: path, variants: [] };
  const named = (await readdir(path)).sort().flatMap((file) => weightsName(file) ?? []);
  const first = named.some(({ variant }) => variant === undefined) ? undefined : named[0]?.variant;
  const { path: chosen, variants } = await findWeights(path, first);
  return { chosen, variants };
}

/** Describes a folder with a model_index.json, part by part. */
export async function describeDiffusersFolder(dir: string): Promise<DiffusersDescription> {
  const index = await readJsonObject(join(dir, "model_index.json"));
  const parts: [string, DiffusersDescription["parts"][string]][] = [];
  for (const [name, value] of Object.entries(index)) {
    // ["diffusers", "UNet2DConditionModel"]; [null, null] for a part that is left out
    if (!Array.isArray(value) || typeof value[1] !== "string") continue;
    if (!/^[^/\\]+$/.test(name) || name === "." || name === "..") {
      throw new FormatError(`${join(dir, "model_index.json")}: ${JSON.stringify(name)} is no name of a folder.`);
    }
    const part = join(dir, name);
    const hasWeights = existsSync(part) && (await holdsWeights(part));
    parts.push([
      name,
      hasWeights ? { ...(await describeWeights(part)), architecture: value[1] } : { architecture: value[1] },
    ]);
  }
  const parameters = parts.reduce((total, [, part]) => total + ("parameters" in part ? part.parameters : 0), 0);
  return {
    kind: "diffusers folder",
    architecture: typeof index._class_name === "string" ? index._class_name : "not stated",
    parameters,
    parts: Object.fromEntries(parts),
  };
}

function count(file: WeightsFile): Pick<WeightsDescription, "parameters" | "tensors" | "dtypes"> {
  const dtypes: Partial<Record<NumberFormat, number>> = {};
  let parameters = 0;
  for (const { dtype, shape } of file.tensors.values()) {
    parameters += countOf(shape);
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
  }
  return { parameters, tensors: file.tensors.size, dtypes };
}

/** Class names that the config.json of a folder states; undefined for files, and where it states none. */
async function architectureIn(dir: string): Promise<string | undefined> {
  const path = join(dir, "config.json");
  if (!existsSync(path)) return undefined;
  const { _class_name: className, architectures } = await readJsonObject(path);
  if (typeof className === "string") return className;
  const names = Array.isArray(architectures) ? architectures.filter((name) => typeof name === "string") : [];
  return names.length > 0 ? names.join(", ") : undefined;
}
