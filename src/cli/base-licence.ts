import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packagePath, shippedPath } from "../core/package-root.ts";

/** The licence of a model folder: what its card states in the front matter, ours for bundled models, else undefined. */
export async function baseLicence(model: string): Promise<string | undefined> {
  const folder = shippedPath(model);
  if (folder.startsWith(packagePath("assets"))) return "apache-2.0";
  const card = await readFile(join(folder, "README.md"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const front = /^---\n(.*?)\n---/s.exec(card)?.[1] ?? "";
  return /^license:\s*["']?([\w.+-]+)/m.exec(front)?.[1];
}
