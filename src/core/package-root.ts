import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Not in core/index.ts: it needs Node, the rest of core does not.

/** Path of a file that ships with the package, from the sources and from the built files alike: `packagePath("package.json")`. */
export const packagePath = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Path of a bundled asset: `assetPath("models/style-score")`. */
export const assetPath = (path: string): string => packagePath(`assets/${path}`);

/** The path as given; where nothing lies there, `assets/…` and `configs/…` mean the files that ship with the package. */
export function shippedPath(path: string): string {
  if (existsSync(path) || !/^(assets|configs)\//.test(path)) return path;
  return existsSync(packagePath(path)) ? packagePath(path) : path;
}
