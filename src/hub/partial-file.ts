import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

// What has come of a blob lies beside it as BLOB.PID-N.incomplete while process PID adds to it, else as BLOB.free.incomplete.
// So two processes never write to one file, and what a killed one has left is gone on with.

const held = new Set<string>();
let counter = 0;

/** Takes over what has come of a blob, or names a file for it that no other process uses. */
export async function takePartial(blob: string): Promise<string> {
  const mine = `${blob}.${process.pid}-${counter++}.incomplete`;
  held.add(mine);
  for (const name of await readdir(dirname(blob))) {
    const path = join(dirname(blob), name);
    if (!isLeft(path, basename(blob))) continue;
    const taken = await rename(path, mine).then(
      () => true,
      () => false, // another process was faster
    );
    if (taken) break;
  }
  return mine;
}

/** Leaves a partial file to whoever goes on with it. */
export async function leavePartial(mine: string, blob: string): Promise<void> {
  held.delete(mine);
  const found = await stat(mine).catch(() => undefined);
  if (found?.size === 0) await rm(mine);
  else if (found) await rename(mine, `${blob}.free.incomplete`);
}

/** Forgets a partial file that has been moved or removed. */
export function forgetPartial(mine: string): void {
  held.delete(mine);
}

/** Whether a file is a part of that blob to which nobody adds. */
function isLeft(path: string, blob: string): boolean {
  const name = basename(path);
  if (!name.startsWith(`${blob}.`)) return false;
  const [, owner, pid] = /\.(free|(\d+)-\d+)\.incomplete$/.exec(name) ?? [];
  if (owner === "free") return true;
  if (pid === undefined) return false;
  if (Number(pid) === process.pid) return !held.has(path); // of a dead process with our number
  try {
    process.kill(Number(pid), 0); // signal 0 only asks whether the process exists
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
