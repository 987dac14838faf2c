import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { blobPath } from "./cache.ts";
import { HubError, HubUnreachable } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { type HubId, showHubId } from "./hub-id.ts";
import type { RepoFile } from "./listing.ts";
import { forgetPartial, leavePartial, takePartial } from "./partial-file.ts";
import { refusal } from "./refusal.ts";
import { request } from "./request.ts";

/**
 * Loads a file into the cache's blobs. What an earlier try has left is gone on with; a connection that breaks is taken up
 * again as long as each one brings something. The file gets its name only when its hash is the listed one: what has another
 * is removed, and HubError thrown.
 *
 * @param onBytes told how many bytes of the file are there
 */
export async function downloadBlob(
  hub: Hub,
  id: HubId,
  file: RepoFile,
  onBytes: (received: number) => void,
): Promise<void> {
  const blob = blobPath(hub, id, file);
  const partial = await takePartial(blob);
  try {
    let have = await receivedBytes(partial, file);
    while (have < file.size) {
      const before = have;
      try {
        await receive(hub, id, file, partial, before, onBytes);
      } catch (error) {
        if (!(error instanceof HubUnreachable) || (await receivedBytes(partial, file)) <= before) throw error;
      }
      have = await receivedBytes(partial, file);
      if (have <= before) throw new HubError(`${hub.endpoint} sends less of ${file.path} than it lists. Try again.`);
    }
    await checkContent(hub, id, file, partial);
    await rename(partial, blob);
    forgetPartial(partial);
  } catch (error) {
    await leavePartial(partial, blob);
    throw error;
  }
}

/** Size of a partial file; one that is longer than the file begins anew. An empty one is made where there is none. */
async function receivedBytes(partial: string, { size }: RepoFile): Promise<number> {
  const handle = await open(partial, "a");
  try {
    const { size: found } = await handle.stat();
    if (found <= size) return found;
    await handle.truncate(0);
    return 0;
  } finally {
    await handle.close();
  }
}

/** Appends bytes `from` … of a file. */
async function receive(
  hub: Hub,
  id: HubId,
  file: RepoFile,
  partial: string,
  from: number,
  onBytes: (received: number) => void,
): Promise<void> {
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const address = `${hub.endpoint}/${id.name}/resolve/${id.revision}/${path}`;
  // identity: a range of a compressed answer would be a range of something else
  const headers = { "accept-encoding": "identity", ...(from > 0 && { range: `bytes=${from}-` }) };
  await request(hub, address, headers, async (response, alive) => {
    const handle = await open(partial, "a");
    try {
      const begins = new RegExp(`^bytes ${from}-`).test(response.headers.get("content-range") ?? "");
      const goesOn = response.status === 206 && begins;
      if (!goesOn && response.status !== 200 && response.status !== 416) throw refusal(hub, id, response);
      if (!goesOn) await handle.truncate(0); // it begins at the beginning, or has no such range
      if (response.status === 416) return;
      let received = goesOn ? from : 0;
      for await (const part of response.body ?? []) {
        alive();
        received += part.length;
        if (received > file.size) throw tooLong(hub, id, file);
        await handle.appendFile(part);
        onBytes(received);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

const tooLong = (hub: Hub, id: HubId, { path, size }: RepoFile): HubError =>
  new HubError(`${hub.endpoint} sends more of ${path} of ${id.name} than the ${size} bytes it lists. Try again.`);

/** Compares the hash of what has come with the listed one; removes it when they differ. */
async function checkContent(hub: Hub, id: HubId, { path, size, hash }: RepoFile, partial: string): Promise<void> {
  const { kind, hex } = hash;
  const found = createHash(kind === "sha256" ? "sha256" : "sha1");
  if (kind === "git-sha1") found.update(`blob ${size}\0`); // git hashes this header before the content
  for await (const part of createReadStream(partial)) {
    hub.signal?.throwIfAborted();
    found.update(part);
  }
  const came = found.digest("hex");
  if (came === hex) return;
  await rm(partial, { force: true });
  throw new HubError(
    `${path} of ${showHubId(id)} must have the ${kind} ${hex}, but what came has ${came}. It was removed; try again, and if it comes again, do not trust ${hub.endpoint}.`,
  );
}
