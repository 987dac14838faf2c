import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";

/** Weights in a folder: `NAME[.VARIANT].safetensors`, or `NAME.safetensors.index[.VARIANT].json` of several files. */
export interface FoundWeights {
  readonly path: string;
  /** "fp16" of `model.fp16.safetensors`. */
  readonly variant: string | undefined;
}

interface Candidate extends FoundWeights {
  readonly name: string;
}

/**
 * The weights of a folder of one network: those of `variant`, else those without one, else those of the only variant there
 * is. Throws FormatError when there are none, or several to choose from.
 */
export async function findWeights(dir: string, variant?: string): Promise<FoundWeights> {
  const files = await filesIn(dir);
  const found = files.flatMap((file) => candidate(dir, file) ?? []);
  const names = [...new Set(found.map(({ name }) => name))];
  if (names.length !== 1) {
    throw new FormatError(
      names.length === 0
        ? `${dir} has no *.safetensors file; it has ${files.slice(0, 8).join(", ") || "no files"}.`
        : `${dir} has weights of several networks: ${names.join(", ")}. Give the path of one file.`,
    );
  }
  const ofVariant = (wanted: string | undefined) => found.find((one) => one.variant === wanted);
  const variants = [...new Set(found.map((one) => one.variant))];
  const chosen = ofVariant(variant) ?? ofVariant(undefined) ?? (variants.length === 1 ? found[0] : undefined);
  if (chosen) return chosen;
  throw new FormatError(`${dir} has weights of the variants ${variants.join(", ")}: name the one that is wanted.`);
}

/** Whether a folder has weights that findWeights would look at. */
export const holdsWeights = async (dir: string): Promise<boolean> =>
  (await filesIn(dir)).some((file) => candidate(dir, file) !== undefined);

async function filesIn(dir: string): Promise<string[]> {
  const files = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new FormatError(`The folder ${dir}, which should hold weights, cannot be read (${error.code}).`);
  });
  return files.sort();
}

/** A file that stands for whole weights; undefined for a shard and for everything else. */
function candidate(dir: string, file: string): Candidate | undefined {
  const whole = /^([^.]+)(?:\.(.+))?\.safetensors$/.exec(file);
  const index = /^([^.]+)\.safetensors\.index(?:\.(.+))?\.json$/.exec(file);
  const [, name, variant] = whole ?? index ?? [];
  if (name === undefined || /-\d{5}-of-\d{5}\.safetensors$/.test(file)) return undefined;
  return { name, variant, path: join(dir, file) };
}
