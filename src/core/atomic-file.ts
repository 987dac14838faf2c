import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

// Not in core/index.ts: it needs Node, the rest of core does not.

let counter = 0;

/** A name beside `path` that no other writer uses; isTemporary tells such names. */
export const temporaryName = (path: string): string => `${path}.tmp-${process.pid}-${counter++}`;

/** Whether a file or folder is what a killed writer left behind. */
export const isTemporary = (name: string): boolean => /\.tmp-\d+-\d+$/.test(name);

/**
 * Writes a file so that a reader, or a crash at any moment, finds the old content or the new one: to a temporary file,
 * flushed to disk, then renamed.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, "w");
    try {
      if (typeof content === "string") await file.writeFile(content);
      else for await (const part of content) await writeAll(file, part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Flushes the names in a folder to disk. Windows and some file systems cannot, and need no flush. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    if (!["EPERM", "EISDIR", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const largest = 2 ** 30; // one write takes less than 2 GiB
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(largest, bytes.length - at));
    at += bytesWritten;
  }
}
