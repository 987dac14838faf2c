import { readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { temporaryName } from "../core/atomic-file.ts";
import { ConfigError } from "../core/errors.ts";

export const LOCK_NAME = "lock";

interface Owner {
  readonly pid: number;
  readonly host: string;
}

/** Locks this process holds. A lock file with our process number that is not here is of a dead process with that number. */
const held = new Set<string>();

/**
 * Makes this process the only one that writes to a folder, until the returned function is called. The lock file of a
 * process that has died is taken over. Throws ConfigError when another process holds it.
 */
export async function lockFolder(folder: string): Promise<() => void> {
  const path = join(realpathSync(folder), LOCK_NAME);
  const mine = `${JSON.stringify({ pid: process.pid, host: hostname() } satisfies Owner)}\n`;
  while (!created(path, mine)) {
    const text = await settledText(path);
    const owner = parseOwner(text);
    if (owner !== undefined && isAlive(owner, path)) throw busy(folder, path, owner);
    if (text !== undefined) removeStale(path, text);
  }
  held.add(path);
  return () => {
    if (!held.delete(path)) return;
    if (readIfThere(path) === mine) rmSync(path);
  };
}

/** Whether a living process holds the lock of a folder. */
export function isLocked(folder: string): boolean {
  const path = join(realpathSync(folder), LOCK_NAME);
  const owner = parseOwner(readIfThere(path));
  return owner !== undefined && isAlive(owner, path);
}

function created(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: "wx" }); // fails when the file exists
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** The lock's text; its owner may be between making the file and writing to it, so an unreadable one is read again. */
async function settledText(path: string): Promise<string | undefined> {
  const text = readIfThere(path);
  if (text === undefined || parseOwner(text) !== undefined) return text;
  await setTimeout(300);
  return readIfThere(path);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string | undefined): Owner | undefined {
  try {
    const { pid, host } = JSON.parse(text ?? "");
    return Number.isInteger(pid) && typeof host === "string" ? { pid, host } : undefined;
  } catch {
    return undefined; // a lock that a crash cut short has no owner
  }
}

/** On another host we cannot look, and assume that it is. */
function isAlive({ pid, host }: Owner, path: string): boolean {
  if (host !== hostname()) return true;
  if (pid === process.pid) return held.has(path);
  try {
    process.kill(pid, 0); // signal 0 only asks whether the process exists
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Moves the stale lock aside; if another process replaced it since it was read, that one is put back. */
function removeStale(path: string, text: string): void {
  const aside = temporaryName(path);
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const moved = readFileSync(aside, "utf8");
  if (moved !== text) created(path, moved);
  rmSync(aside);
}

function busy(folder: string, path: string, { pid, host }: Owner): ConfigError {
  return new ConfigError(
    `Only one process may write to a run folder, but process ${pid} on ${host} is writing to ${folder}. Stop it or choose another --out; if no such process trains here any more, delete ${path}.`,
  );
}
