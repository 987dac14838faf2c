import { ConfigError } from "../core/errors.ts";
import type { FileRegion } from "../core/named-arrays.ts";

/** The files in which constants of a model lie. */
export interface WeightFiles {
  /** The innermost folder that holds them all: locations in the model are paths from here. */
  readonly folder: string;
  /** Absolute path → bytes that the file must have at least. */
  readonly sizes: Readonly<Record<string, number>>;
}

/** The files of `regions`; undefined without any. Throws ConfigError for paths that have no folder in common. */
export function weightFiles(regions: readonly FileRegion[]): WeightFiles | undefined {
  if (regions.length === 0) return undefined;
  const sizes: Record<string, number> = {};
  for (const { path, offset, length } of regions) sizes[path] = Math.max(sizes[path] ?? 0, offset + 4 * length);
  const [first, ...others] = Object.keys(sizes).map((path) => path.split(/[\\/]/).slice(0, -1));
  const differing = first!.findIndex((step, k) => others.some((steps) => steps[k] !== step));
  const shared = differing < 0 ? first! : first!.slice(0, differing);
  if (shared.length === 0) {
    throw new ConfigError(
      `The weights of a program must lie in files on one drive, but these have no folder in common: ${Object.keys(sizes).join(", ")}.`,
    );
  }
  return { folder: `${shared.join("/")}/`, sizes };
}

/** The location of a file as a model states it. */
export const locationIn = ({ folder }: WeightFiles, path: string): string =>
  path.slice(folder.length).replaceAll("\\", "/");
