import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import type { ParamSpecs } from "../nn/index.ts";
import { checkTensors, readWeights } from "../weights/index.ts";

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
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new FormatError(
      `A network's folder needs config.json and model.safetensors, but ${path} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
  const config = parse(json, path);
  const { tensors: weights } = await readWeights(join(dir, "model.safetensors"));
  checkTensors(specs(config), weights, dir);
  return { config, weights };
}
