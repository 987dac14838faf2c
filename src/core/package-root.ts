import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// Not in core/index.ts: it needs Node, the rest of core does not.

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Path of a file that ships with the package, from the sources and from the built files alike: `packagePath("package.json")`. */
export const packagePath = (path: string): string => join(root, path);

/** Path of a bundled asset: `assetPath("models/style-score")`. */
export const assetPath = (path: string): string => packagePath(`assets/${path}`);

/**
 * Where a path of a configuration or command lies. `assets/…` means the asset that ships with the package, if there is one of
 * that name, whatever the working directory holds; `configs/…` means the shipped file where the working directory has none.
 */
export function shippedPath(path: string): string {
  const shipped = packagePath(path);
  if (path.startsWith("assets/") && existsSync(shipped)) return shipped;
  return path.startsWith("configs/") && !existsSync(path) && existsSync(shipped) ? shipped : path;
}
