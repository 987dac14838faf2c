import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { inject } from "vitest";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

export const hookTimeout = 300_000; // building takes seconds, on a busy machine minutes

/** Builds dist/ once in a test run: the first file that asks builds, others wait for it. */
export async function buildCommand(): Promise<void> {
  const notes = inject("buildNotes");
  const ended = join(notes, "ended"); // holds what went wrong
  if (isFirst(join(notes, "started"))) {
    writeFileSync(join(notes, "ending"), problemOfBuild());
    renameSync(join(notes, "ending"), ended);
  }
  while (!existsSync(ended)) await setTimeout(100);
  const problem = readFileSync(ended, "utf8");
  if (problem) throw new Error(`dist/ cannot be built:\n${problem}`);
}

function isFirst(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

function problemOfBuild(): string {
  try {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, encoding: "utf8", stdio: "pipe" });
    return "";
  } catch (error) {
    return (error as { stdout?: string }).stdout || String(error);
  }
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program of Node's in a folder; `until` interrupts it once stderr matches. */
export function runNode(args: readonly string[], { cwd, until }: { cwd: string; until?: RegExp }): Promise<Ended> {
  const child = spawn(process.execPath, args, { cwd });
  let stdout = "";
  let stderr = "";
  let interrupted = false;
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
    if (interrupted || !until?.test(stderr)) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Runs the built command. */
export const runNabla = (args: readonly string[], options: { cwd: string; until?: RegExp }): Promise<Ended> =>
  runNode([join(root, "dist/cli/main.js"), ...args], options);
