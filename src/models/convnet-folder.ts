import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../core/atomic-file.ts";
import { FormatError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { sizeOf } from "../tensor/index.ts";
import { readSafetensorsFile, writeSafetensorsFile } from "../weights/index.ts";
import { type ConvnetConfig, convnetSpecs, parseConvnetConfig } from "./convnet.ts";

/** A trained classifier: what `convnet` needs. */
export interface Convnet {
  config: ConvnetConfig;
  weights: NamedArrays;
}

/** Writes `config.json` and `model.safetensors` (float16). */
export async function writeConvnet(dir: string, { config, weights }: Convnet): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeSafetensorsFile(join(dir, "model.safetensors"), weights, {}, "F16");
  await writeFileAtomic(join(dir, "config.json"), `${JSON.stringify(config, null, 1)}\n`);
}

/** Reads such a folder. Throws FormatError when a file is missing or the weights do not belong to the configuration. */
export async function loadConvnet(dir: string): Promise<Convnet> {
  const path = join(dir, "config.json");
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new FormatError(
      `A classifier folder needs config.json and model.safetensors, but ${path} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
  const config = parseConvnetConfig(json, path);
  const { tensors: weights } = await readSafetensorsFile(join(dir, "model.safetensors"));
  for (const [name, { shape }] of Object.entries(convnetSpecs(config))) {
    const found = weights[name]?.data.length;
    if (found !== sizeOf(shape)) {
      throw new FormatError(
        `${path} describes a parameter "${name}" of ${sizeOf(shape)} values, but model.safetensors has ${found ?? "none"}.`,
      );
    }
  }
  return { config, weights };
}
