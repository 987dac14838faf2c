import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { mkdir, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../core/atomic-file.ts";
import { FormatError } from "../core/errors.ts";
import type { FileRegion, NamedArray, NamedArrays } from "../core/named-arrays.ts";
import { openFile } from "./byte-source.ts";
import { findWeights } from "./find-weights.ts";
import { openWeights, readWeights } from "./open-weights.ts";
import { readHeader } from "./safetensors-file.ts";
import { buildHeader, type TensorEntry } from "./safetensors-header.ts";
import { shardPaths } from "./sharded-file.ts";
import { countOf } from "./tensor-shape.ts";
import { type WeightsFile, withWeights } from "./weights-file.ts";

/** Networks of at least so many bytes of float32 stay in files: ONNX Runtime takes no model of 2 GiB. */
const LARGE_BYTES = 2 ** 30;

/** All weights, see openWeights: in memory, or where they lie if they are large, with copies in the user's cache folder. */
export async function readOrMapWeights(path: string): Promise<NamedArrays> {
  const bytes = await withWeights(openWeights(path), async ({ tensors }) =>
    [...tensors.values()].reduce((total, { shape }) => total + 4 * countOf(shape), 0),
  );
  if (bytes < LARGE_BYTES) return (await readWeights(path)).tensors;
  return mapWeights(path, join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nablaflow", "float32"));
}

/**
 * Weights that stay in their file, see openWeights: programs map the file into memory and share it. Float32 safetensors
 * are used as they are; any other format is converted once to a float32 file in the folder `cache` (decision 018). The
 * files must not change while a program or an array refers to them. Throws FormatError as openWeights does.
 */
export async function mapWeights(path: string, cache: string): Promise<NamedArrays> {
  const found = (await stat(path).catch(() => undefined))?.isDirectory() ? (await findWeights(path)).path : path;
  return withWeights(openWeights(found), async (file) => {
    const { kind } = file.source;
    const paths = kind === "sharded safetensors" ? await shardPaths(found) : [found];
    // ONNX Runtime follows no symbolic link out of a folder.
    const sources = await Promise.all(paths.map((one) => realpath(one)));
    const maps = kind === "torch zip" ? [undefined] : await Promise.all(sources.map(mapFloats));
    if (maps.every((map) => map !== undefined)) return Object.assign({}, ...maps);
    return (await mapFloats(await converted(file, sources, cache)))!;
  });
}

/** Tensors of a safetensors file where they lie; undefined unless all are float32 at multiples of 4 bytes. */
async function mapFloats(path: string): Promise<NamedArrays | undefined> {
  const bytes = await openFile(path);
  try {
    const { entries } = await readHeader(bytes);
    if (entries.some(({ dtype, begin }) => dtype !== "F32" || begin % 4 !== 0)) return undefined;
    return Object.fromEntries(entries.map((entry) => [entry.name, mapped(path, entry)]));
  } finally {
    await bytes.close();
  }
}

/** The float32 copy of a file, which is made unless `cache` has it: its name tells paths, sizes and times of the sources. */
async function converted(file: WeightsFile, sources: readonly string[], cache: string): Promise<string> {
  const hash = createHash("sha256");
  for (const source of sources) {
    const { size, mtimeMs } = await stat(source);
    hash.update(`${JSON.stringify(source)} ${size} ${mtimeMs}\n`);
  }
  await mkdir(cache, { recursive: true });
  const path = join(await realpath(cache), `${hash.digest("hex").slice(0, 32)}.safetensors`);
  if (!existsSync(path)) await writeFileAtomic(path, floatParts(file));
  return path;
}

async function* floatParts(file: WeightsFile): AsyncGenerator<Uint8Array> {
  const entries = [...file.tensors].map(([name, { shape }]) => ({ name, shape, bytes: 4 * countOf(shape) }));
  yield buildHeader(
    entries.map((entry) => ({ ...entry, dtype: "F32" })),
    {},
  );
  for await (const [, { data }] of file) yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function mapped(path: string, { shape, begin: offset }: TensorEntry): NamedArray {
  const length = countOf(shape);
  if (length === 0) return { shape, data: new Float32Array(0) }; // nothing cannot be mapped
  const read = () => readFloats(path, offset, length);
  const file: FileRegion = { path, offset, length, read, [Symbol.iterator]: () => read().values() };
  return {
    shape,
    file,
    get data() {
      return read();
    },
  };
}

function readFloats(path: string, offset: number, length: number): Float32Array {
  const values = new Float32Array(length);
  const bytes = new Uint8Array(values.buffer);
  const file = openSync(path, "r");
  try {
    const largest = 2 ** 30; // one read takes less than 2 GiB
    for (let at = 0; at < bytes.length; ) {
      const count = readSync(file, bytes, at, Math.min(largest, bytes.length - at), offset + at);
      if (count === 0) throw new FormatError(`${path}: the file became shorter since its weights were opened.`);
      at += count;
    }
  } finally {
    closeSync(file);
  }
  return values;
}
