import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packagePath, shippedPath } from "../core/package-root.ts";
import { cachedPath, explicitHubId, hubFromEnvironment } from "../hub/index.ts";

/** The licence of a model folder: what its card states in the front matter, ours for bundled models, else undefined. */
export async function baseLicence(model: string): Promise<string | undefined> {
  const id = explicitHubId(model);
  const folder = id ? await cachedPath(await hubFromEnvironment(), id) : shippedPath(model);
  if (folder === undefined) return undefined;
  if (folder.startsWith(packagePath("assets"))) return "apache-2.0";
  const card = await readFile(join(folder, "README.md"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return ""; // ENOTDIR: the model is one file
    throw error;
  });
  const front = /^---\n(.*?)\n---/s.exec(card)?.[1] ?? "";
  return /^license:\s*["']?([\w.+-]+)/m.exec(front)?.[1];
}
