import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";

/** Weights in a folder: `NAME[.VARIANT].safetensors`, or `NAME.safetensors.index[.VARIANT].json` of several files. */
export interface FoundWeights {
  readonly path: string;
  /** "fp16" of `model.fp16.safetensors`. */
  readonly variant: string | undefined;
  /** All variants that the folder has. */
  readonly variants: readonly string[];
}

/** What the name of a file of weights says. */
export interface WeightsName {
  /** "diffusion_pytorch_model". */
  readonly name: string;
  readonly variant: string | undefined;
  /** A part of the weights, which an index names. */
  readonly shard: boolean;
}

interface Candidate extends WeightsName {
  readonly path: string;
}

/**
 * The weights of a folder of one network: those of `variant`, else those without one, else those of the only variant there
 * is. Throws FormatError when there are none, or several to choose from.
 */
export async function findWeights(dir: string, variant?: string): Promise<FoundWeights> {
  const files = await filesIn(dir);
  const found = files.flatMap((file) => candidate(dir, file));
  const names = [...new Set(found.map(({ name }) => name))];
  if (names.length !== 1) {
    throw new FormatError(
      names.length === 0
        ? `${dir} has no *.safetensors file; it has ${files.slice(0, 8).join(", ") || "no files"}.`
        : `${dir} has weights of several networks: ${names.join(", ")}. Give the path of one file.`,
    );
  }
  const ofVariant = (wanted: string | undefined) => found.find((one) => one.variant === wanted);
  const variants = [...new Set(found.flatMap((one) => one.variant ?? []))];
  const chosen = ofVariant(variant) ?? ofVariant(undefined) ?? (variants.length === 1 ? found[0] : undefined);
  if (chosen) return { path: chosen.path, variant: chosen.variant, variants };
  throw new FormatError(`${dir} has weights of the variants ${variants.join(", ")}: name the one that is wanted.`);
}

/** Whether a folder has weights that findWeights would look at. */
export const holdsWeights = async (dir: string): Promise<boolean> =>
  (await filesIn(dir)).some((file) => candidate(dir, file).length > 0);

async function filesIn(dir: string): Promise<string[]> {
  const files = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new FormatError(`The folder ${dir}, which should hold weights, cannot be read (${error.code}).`);
  });
  return files.sort();
}

/** A file that stands for whole weights; nothing for a shard and for everything else. */
function candidate(dir: string, file: string): Candidate[] {
  const named = weightsName(file);
  return named && !named.shard ? [{ ...named, path: join(dir, file) }] : [];
}

/**
 * Reads `NAME[.VARIANT].safetensors`, a shard `NAME[.VARIANT]-00001-of-00002.safetensors` or the index of shards
 * `NAME.safetensors.index[.VARIANT].json`; undefined for other files.
 */
export function weightsName(file: string): WeightsName | undefined {
  const whole = /^([^.]+?)(?:\.(.+?))?(-\d{5}-of-\d{5})?\.safetensors$/.exec(file);
  const index = /^([^.]+)\.safetensors\.index(?:\.(.+))?\.json$/.exec(file);
  const [, name, variant, shard] = whole ?? index ?? [];
  return name === undefined ? undefined : { name, variant, shard: shard !== undefined };
}
