import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../core/atomic-file.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { writeSafetensorsFile } from "../weights/index.ts";
import { type ConvnetConfig, convnetSpecs, parseConvnetConfig } from "./convnet.ts";
import { loadNetwork } from "./network-folder.ts";

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
export const loadConvnet = (dir: string): Promise<Convnet> =>
  loadNetwork(dir, { parse: parseConvnetConfig, specs: convnetSpecs });
