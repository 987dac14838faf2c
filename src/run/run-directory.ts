import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isTemporary } from "../core/atomic-file.ts";
import { readBoundedText } from "../core/bounded-file.ts";
import { ConfigError, FormatError } from "../core/errors.ts";
import { isJsonObject, parseJson } from "../core/parse-json.ts";
import { writeJsonAtomic } from "./atomic.ts";
import { type CheckpointPlace, recoverCheckpoints } from "./checkpoint.ts";
import { differingKeys } from "./differing-keys.ts";
import { LOCK_NAME, lockFolder } from "./lock.ts";

export interface RunDirectory {
  readonly path: string;
  /** Where to go on; undefined: begin at the beginning. */
  readonly checkpoint: CheckpointPlace | undefined;
  /** Lets other processes use the folder. */
  release(): void;
}

/** Keys that may differ between a run and its continuation. */
const FREE_KEYS = ["train.updates"];

/**
 * Takes a folder for one run: locks it, and writes `config.json`. A folder that holds anything is refused unless
 * `resume`; then its `config.json` must equal `config` but for `train.updates`, leftovers of a kill are removed, and the
 * newest whole checkpoint is given. Throws ConfigError for a folder in use or unfit.
 */
export async function openRunDirectory(
  path: string,
  config: object,
  { resume }: { resume: boolean },
): Promise<RunDirectory> {
  await mkdir(path, { recursive: true });
  const release = await lockFolder(path);
  try {
    const names = await clearedNames(path);
    if (names.length > 0 && !resume) {
      throw new ConfigError(
        `A new run needs an empty folder, but ${path} holds ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}. Give --resume to go on with it, or another --out.`,
      );
    }
    if (names.length > 0) await checkSameConfig(path, config);
    await writeJsonAtomic(join(path, "config.json"), config);
    return { path, checkpoint: await recoverCheckpoints(path), release };
  } catch (error) {
    release();
    throw error;
  }
}

/** What the folder holds besides the lock, after removing temporary files of killed writers. */
async function clearedNames(path: string): Promise<string[]> {
  const names = (await readdir(path)).filter((name) => name !== LOCK_NAME);
  for (const name of names.filter(isTemporary)) await rm(join(path, name), { recursive: true, force: true });
  return names.filter((name) => !isTemporary(name)).sort();
}

async function checkSameConfig(path: string, config: object): Promise<void> {
  const stored = await readRunConfig(path);
  const differing = differingKeys(stored, JSON.parse(JSON.stringify(config))).filter((key) => !FREE_KEYS.includes(key));
  if (differing.length > 0) {
    throw new ConfigError(
      `--resume goes on with the configuration of ${path}, but these keys differ: ${differing.join(", ")}. Only ${FREE_KEYS.join(", ")} may; take the others from ${join(path, "config.json")}, or start a new run in another --out.`,
    );
  }
}

/** The resolved configuration of a run. Throws ConfigError when the folder is no run. */
export async function readRunConfig(path: string): Promise<Record<string, unknown>> {
  const file = join(path, "config.json");
  let text: string;
  try {
    text = await readBoundedText(file, "a configuration");
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new ConfigError(`${path} is not a run: ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const config = parseJson(text, file);
  if (!isJsonObject(config)) throw new FormatError(`${file}: a configuration is a JSON object, but this is not.`);
  return config;
}
