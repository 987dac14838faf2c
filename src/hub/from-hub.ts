import { existsSync, statSync } from "node:fs";
import { mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { blobPath, blobsFolder, cachedCommit, hasFile, linkBlob, snapshotFolder, writeRef } from "./cache.ts";
import { downloadBlob } from "./download.ts";
import { HubError, HubUnreachable } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { type HubId, showHubId } from "./hub-id.ts";
import { listRepo, type RepoFile, resolveCommit } from "./listing.ts";
import { marks, wantedFiles } from "./wanted-files.ts";

/**
 * The commit that a revision is: the hub's answer, or the cache's when there is no connection. Throws ConfigError for an
 * unknown model or revision, HubUnreachable when neither knows.
 */
export const commitOf = (hub: Hub, id: HubId): Promise<string> =>
  elseCached(
    hub,
    id,
    () => askedCommit(hub, id),
    () => cachedCommit(hub, id),
  );

/**
 * Local path of what an id names, in the cache, after loading what is missing there: a file, or a folder with the files that a
 * model or reward is read from (see `wantedFiles`). Without a connection, what the cache holds. Throws ConfigError for what
 * the hub has not or does not give, HubUnreachable without a connection, HubError for files that are not what they should be.
 */
export function fromHub(hub: Hub, id: HubId, { variant }: { variant?: string | undefined } = {}): Promise<string> {
  const load = async () => {
    const commit = await askedCommit(hub, id);
    const files = chosenFiles(id, await listRepo(hub, id, commit), variant);
    await loadFiles(hub, { ...id, revision: commit }, files);
    return join(snapshotFolder(hub, id, commit), id.path ?? "");
  };
  return elseCached(hub, id, load, () => cachedPath(hub, id));
}

/** Path in the cache of what an id names, if it is whole there; asks nobody. */
export async function cachedPath(hub: Hub, id: HubId): Promise<string | undefined> {
  const commit = await cachedCommit(hub, id);
  if (commit === undefined) return undefined;
  const path = join(snapshotFolder(hub, id, commit), id.path ?? "");
  const whole =
    marks.some((mark) => existsSync(join(path, mark))) || statSync(path, { throwIfNoEntry: false })?.isFile();
  return whole ? path : undefined;
}

async function askedCommit(hub: Hub, id: HubId): Promise<string> {
  const commit = await resolveCommit(hub, id);
  await writeRef(hub, id, commit);
  return commit;
}

/** What the hub gives; offline, or when it gives no answer, what the cache has. */
async function elseCached(
  hub: Hub,
  id: HubId,
  ask: () => Promise<string>,
  cached: () => Promise<string | undefined>,
): Promise<string> {
  let why = "HF_HUB_OFFLINE is set.";
  try {
    if (!hub.offline) return await ask();
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    why = error.message;
  }
  const found = await cached();
  if (found === undefined) {
    throw new HubUnreachable(
      `${why} ${showHubId(id)} comes from the hub or from the cache, but ${hub.cache} does not hold all of it. ${hub.offline ? "Unset HF_HUB_OFFLINE to load it" : "Give the same command with a connection, which goes on from what has come"}; or set HF_HUB_CACHE to a cache that holds it, or give a local path.`,
    );
  }
  if (!hub.offline) hub.onNotice?.(`${why} Taking ${showHubId(id)} from the cache.`);
  return found;
}

const onnxData = [".data", "_data"];

/** The file that an id names, or what is wanted of the folder or repository. */
function chosenFiles(id: HubId, files: readonly RepoFile[], variant: string | undefined): RepoFile[] {
  const { path } = id;
  if (path === undefined) return wantedFiles(files, variant, showHubId(id));
  const named = files.find((file) => file.path === path);
  // What an ONNX file of more than 2 GB keeps beside itself has its name with one of these endings.
  if (named) return [...files.filter((file) => onnxData.some((ending) => file.path === path + ending)), named];
  const below = files.filter((file) => file.path.startsWith(`${path}/`));
  if (below.length > 0) {
    const inside = below.map((file) => ({ ...file, path: file.path.slice(path.length + 1) }));
    return wantedFiles(inside, variant, showHubId(id)).map((file) => ({ ...file, path: `${path}/${file.path}` }));
  }
  const guess = nearest(
    path,
    files.slice(0, 1000).map((file) => file.path), // a listing may have very many
  );
  throw new ConfigError(
    `${showHubId({ ...id, path: undefined })} has no ${path}${guess ? `; did you mean ${guess}?` : "."}`,
  );
}

/** Brings files into the cache, in their order, `id` being at a commit. */
async function loadFiles(hub: Hub, id: HubId, files: readonly RepoFile[]): Promise<void> {
  const missing: RepoFile[] = [];
  for (const file of files) {
    const path = join(snapshotFolder(hub, id, id.revision), file.path);
    if (!(await hasFile(path, file.size))) missing.push(file);
  }
  if (missing.length === 0) return;
  await mkdir(blobsFolder(hub, id), { recursive: true });
  const absent: RepoFile[] = [];
  for (const file of missing) if (!(await hasFile(blobPath(hub, id, file), file.size))) absent.push(file);
  const total = absent.reduce((sum, { size }) => sum + size, 0);
  await checkSpace(hub, id, total);
  let done = 0;
  for (const file of missing) {
    const blob = blobPath(hub, id, file);
    if (!(await hasFile(blob, file.size))) {
      await downloadBlob(hub, id, file, (received) =>
        hub.onProgress?.({ name: id.name, received: done + received, total }),
      );
      done += file.size;
    }
    await linkBlob(join(snapshotFolder(hub, id, id.revision), file.path), blob);
  }
}

async function checkSpace(hub: Hub, id: HubId, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(blobsFolder(hub, id));
  if (bytes <= bavail * bsize) return;
  const gigabytes = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
  throw new HubError(
    `${showHubId(id)} needs ${gigabytes(bytes)}, but ${hub.cache} has ${gigabytes(bavail * bsize)} left. Make room, or set HF_HUB_CACHE to a folder on another disk.`,
  );
}
