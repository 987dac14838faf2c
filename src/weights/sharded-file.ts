import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { isJsonObject } from "../core/parse-json.ts";
import { openFile } from "./byte-source.ts";
import { listProblems } from "./list-problems.ts";
import { parseJsonObject } from "./parse-json.ts";
import { openSafetensors } from "./safetensors-file.ts";
import { showValue } from "./show-value.ts";
import { type TensorInfo, WeightsFile } from "./weights-file.ts";

// `….safetensors.index.json` is {"metadata": {"total_size": bytes}, "weight_map": {tensor: file beside the index}}.

const MAX_INDEX_BYTES = 100_000_000;

/**
 * Opens the shards of an index as one file. Throws FormatError when a shard is missing, or when the index and the shards
 * do not name the same tensors.
 */
export async function openShardedSafetensors(path: string): Promise<WeightsFile> {
  const weightMap = await readWeightMap(path);
  const shards = new Map<string, WeightsFile>();
  const close = async () => {
    for (const shard of shards.values()) await shard.close();
  };
  try {
    for (const shard of shardNames(path, weightMap)) {
      shards.set(shard, await openFile(join(dirname(path), shard)).then(openSafetensors));
    }
    checkShards(path, weightMap, shards);
  } catch (error) {
    await close();
    throw error;
  }
  const tensors = new Map<string, TensorInfo>();
  for (const shard of shards.values()) for (const [name, info] of shard.tensors) tensors.set(name, info);
  const all = [...shards.values()];
  return new WeightsFile({
    kind: "sharded safetensors",
    name: path,
    size: all.reduce((total, { source }) => total + source.size, 0),
    tensors,
    metadata: Object.assign({}, ...all.map(({ metadata }) => metadata)),
    bytes: (tensor) => shards.get(weightMap[tensor]!)!.source.bytes(tensor),
    close,
  });
}

/** Paths of the shards of an index. */
export const shardPaths = async (path: string): Promise<string[]> =>
  shardNames(path, await readWeightMap(path)).map((shard) => join(dirname(path), shard));

async function readWeightMap(path: string): Promise<Record<string, string>> {
  const file = await openFile(path);
  let bytes: Uint8Array;
  try {
    if (file.size > MAX_INDEX_BYTES) {
      throw new FormatError(`${path}: an index of shards has at most 100 MB; this file has ${file.size} bytes.`);
    }
    bytes = await file.read(0, file.size);
  } finally {
    await file.close();
  }
  const { weight_map: weightMap } = parseJsonObject(bytes, path) as { weight_map?: unknown };
  if (!isJsonObject(weightMap)) {
    throw new FormatError(
      `${path}: an index of shards has a weight_map of tensors to files; it is ${showValue(weightMap)}.`,
    );
  }
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== "string" || !isPlainName(shard)) {
      throw new FormatError(
        `${path}: the weight_map gives ${showValue(tensor)} the file ${showValue(shard)}; it must be the name of a file beside the index.`,
      );
    }
  }
  return weightMap as Record<string, string>;
}

function shardNames(path: string, weightMap: Readonly<Record<string, string>>): string[] {
  const names = [...new Set(Object.values(weightMap))];
  const missing = names.filter((name) => !existsSync(join(dirname(path), name)));
  if (missing.length === 0) return names;
  throw new FormatError(`${path} names files that are not beside it: ${listProblems(missing)}.`);
}

/** A name without folders: an index must not lead out of its own. */
const isPlainName = (name: string): boolean => /^[^/\\\0:]+$/.test(name) && name !== "." && name !== "..";

function checkShards(
  path: string,
  weightMap: Readonly<Record<string, string>>,
  shards: ReadonlyMap<string, WeightsFile>,
): void {
  const problems: string[] = [];
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (!shards.get(shard)!.tensors.has(tensor)) problems.push(`missing ${tensor} in ${shard}`);
  }
  for (const [shard, { tensors }] of shards) {
    for (const tensor of tensors.keys()) if (weightMap[tensor] !== shard) problems.push(`extra ${tensor} in ${shard}`);
  }
  if (problems.length > 0)
    throw new FormatError(`${path}: the shards do not fit the index: ${listProblems(problems)}.`);
}
