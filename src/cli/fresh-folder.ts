import { readdir } from "node:fs/promises";
import { ConfigError } from "../core/errors.ts";

/** Throws ConfigError when a folder for results holds something. `what` begins the message: "Samples go". */
export async function refuseUsedFolder(out: string, what: string): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (names.length === 0) return;
  throw new ConfigError(
    `${what} to an empty folder, but ${out} holds ${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""}. Choose another --out, or empty it.`,
  );
}
