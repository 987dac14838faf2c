import { join } from "node:path";
import type { NamedArrays } from "../core/named-arrays.ts";
import type { ParamSpecs } from "../nn/index.ts";
import { checkTensors, readWeights } from "../weights/index.ts";
import { readJsonObject } from "../weights/parse-json.ts";

/** How one kind of network reads its configuration and which parameters that asks for. */
export interface NetworkFormat<Config> {
  parse(json: unknown, source: string): Config;
  specs(config: Config): ParamSpecs;
}

/**
 * Reads `config.json` and `model.safetensors` of a folder. Throws FormatError when a file is missing, and
 * lists the tensors that are missing, extra or misshapen for the configuration.
 */
export async function loadNetwork<Config>(
  dir: string,
  { parse, specs }: NetworkFormat<Config>,
): Promise<{ config: Config; weights: NamedArrays }> {
  const path = join(dir, "config.json");
  const config = parse(await readJsonObject(path), path);
  const { tensors: weights } = await readWeights(join(dir, "model.safetensors"));
  checkTensors(specs(config), weights, dir);
  return { config, weights };
}
