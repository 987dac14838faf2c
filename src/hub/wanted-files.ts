import { posix } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { weightsName } from "../weights/index.ts";
import type { RepoFile } from "./listing.ts";

/** Files by which a folder is known. They are loaded last, so that a folder which has one is whole. */
export const marks = ["config.json", "model_index.json"];
/** Parts of a diffusers folder that nothing here reads. */
const unread = ["safety_checker", "feature_extractor", "image_encoder"];
const texts = /\.(json|txt|model)$/; // configurations and tokenizers
const card = /^(README\.md|LICEN[CS]E(\.\w+)?)$/i;

/**
 * Of the files of a repository, or of a folder in it, those that a model or reward is read from, in the order in which
 * they are loaded: configurations, tokenizers, the card, and safetensors, of which the wanted variant where a folder has it,
 * else the plain ones. Never pickles and never code. Throws ConfigError when there are none, or no weights of the variant.
 */
export function wantedFiles(files: readonly RepoFile[], variant: string | undefined, shown: string): RepoFile[] {
  const isDiffusers = files.some(({ path }) => path === "model_index.json");
  const folderOf = ({ path }: RepoFile) => posix.dirname(path);
  const inReach = files.filter((file) => {
    const [part] = file.path.split("/", 1);
    if (!isDiffusers) return folderOf(file) === ".";
    // Beside model_index.json lie the same weights once more, for other programs.
    return file.path.split("/").length <= 2 && !unread.includes(part!) && !(folderOf(file) === "." && isWeights(file));
  });
  const weights = inReach.filter(isWeights);
  const variants = new Set(weights.flatMap((file) => variantOf(file) ?? []));
  if (variant !== undefined && !variants.has(variant)) {
    throw new ConfigError(
      `${shown} has no weights of the variant "${variant}". It has ${[...variants].join(", ") || "none"}; leave the variant out for the plain files.`,
    );
  }
  const inFolder = new Map<string, Set<string | undefined>>();
  for (const file of weights) {
    const folder = folderOf(file);
    inFolder.set(folder, (inFolder.get(folder) ?? new Set()).add(variantOf(file)));
  }
  const chosen = weights.filter((file) => {
    const there = inFolder.get(folderOf(file))!;
    const wanted = there.has(variant) ? variant : undefined;
    return variantOf(file) === wanted || !there.has(wanted); // where all are variants, the reader chooses or refuses
  });
  const others = inReach.filter((file) => !isWeights(file) && (texts.test(file.path) || card.test(file.path)));
  if (chosen.length === 0 && others.length === 0) {
    throw new ConfigError(
      `${shown} has no file that could be read: neither safetensors nor a configuration. Of a file of another kind, give its path: hf:owner/name@revision/path/of/file.`,
    );
  }
  const rank = ({ path }: RepoFile) => marks.indexOf(path);
  return [...chosen, ...others].sort((a, b) => rank(a) - rank(b) || b.size - a.size);
}

const isWeights = ({ path }: RepoFile): boolean => weightsName(posix.basename(path)) !== undefined;
const variantOf = ({ path }: RepoFile): string | undefined => weightsName(posix.basename(path))?.variant;
