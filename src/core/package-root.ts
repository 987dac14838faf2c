import { fileURLToPath } from "node:url";

// Not in core/index.ts: it needs Node, the rest of core does not.

/** Path of a file that ships with the package, from the sources and from the built files alike: `assetPath("models/style-score")`. */
export const assetPath = (path: string): string => fileURLToPath(new URL(`../../assets/${path}`, import.meta.url));
