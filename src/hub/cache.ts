import { copyFile, mkdir, readFile, rename, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { temporaryName, writeFileAtomic } from "../core/atomic-file.ts";
import type { Hub } from "./hub.ts";
import { type HubId, isCommit } from "./hub-id.ts";
import type { RepoFile } from "./listing.ts";

// The cache of Python's huggingface_hub, which both can read and write:
//   models--owner--name/blobs/HASH               content, once however many commits have it
//                      /snapshots/COMMIT/PATH    link to the content
//                      /refs/REVISION            text: the commit that it was when last asked

const repoFolder = ({ cache }: Hub, { name }: HubId): string => join(cache, `models--${name.replace("/", "--")}`);

/** Folder of a commit's files. */
export const snapshotFolder = (hub: Hub, id: HubId, commit: string): string =>
  join(repoFolder(hub, id), "snapshots", commit);

export const blobsFolder = (hub: Hub, id: HubId): string => join(repoFolder(hub, id), "blobs");

export const blobPath = (hub: Hub, id: HubId, { hash }: RepoFile): string => join(blobsFolder(hub, id), hash.hex);

/** The commit that a revision was when the hub was last asked; undefined when the cache does not know. */
export async function cachedCommit(hub: Hub, id: HubId): Promise<string | undefined> {
  if (isCommit(id.revision)) return id.revision;
  const text = await readFile(join(repoFolder(hub, id), "refs", id.revision), "utf8").catch(() => "");
  return isCommit(text.trim()) ? text.trim() : undefined;
}

/** Notes which commit a revision is. */
export async function writeRef(hub: Hub, id: HubId, commit: string): Promise<void> {
  if (isCommit(id.revision) || (await cachedCommit(hub, id)) === commit) return;
  const path = join(repoFolder(hub, id), "refs", id.revision);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, commit);
}

/** Whether a file of that many bytes is there, behind any link. */
export async function hasFile(path: string, size: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === size;
}

/** Makes `path` a relative link to a blob, so that the cache can be moved; a copy where the system allows no links. */
export async function linkBlob(path: string, blob: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  await symlink(relative(dirname(path), blob), temporary).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EPERM" && error.code !== "ENOTSUP") throw error;
    return copyFile(blob, temporary);
  });
  await rename(temporary, path);
}
