import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isTemporary, syncFolder, temporaryName } from "../core/atomic-file.ts";
import { readBoundedText } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { isJsonObject, parseJson } from "../core/parse-json.ts";
import { readSafetensorsFile, writeSafetensorsFile } from "../weights/safetensors-file.ts";
import { writeFileAtomic, writeJsonAtomic } from "./atomic.ts";

export interface CheckpointContent {
  /** Updates done. */
  readonly step: number;
  /** Length of events.jsonl when the checkpoint was made; a resumed run cuts the file to it. */
  readonly eventsBytes: number;
  /** One weight file each: policy, flow, ema, optimizer. */
  readonly sections: Readonly<Record<string, NamedArrays>>;
  /** Counters and the objective's state: plain JSON. Floats come back to the bit. */
  readonly state: unknown;
}

export interface CheckpointPlace {
  readonly step: number;
  readonly path: string;
}

/** What state.json holds; `sections` gives the bytes of each weight file, so that a damaged copy is noticed. */
interface StateFile {
  readonly step: number;
  readonly eventsBytes: number;
  readonly sections: Readonly<Record<string, number>>;
  readonly state: unknown;
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** Whether JSON is what writeFiles writes; sections are names of files beside it. */
const isStateFile = (json: unknown): json is StateFile =>
  isJsonObject(json) &&
  isCount(json.step) &&
  isCount(json.eventsBytes) &&
  isJsonObject(json.sections) &&
  Object.entries(json.sections).every(([name, bytes]) => /^[\w-]+$/.test(name) && isCount(bytes));

const folderName = (step: number): string => `step-${String(step).padStart(8, "0")}`;
const stepOf = (name: string): number | undefined => (/^step-\d{8,}$/.test(name) ? Number(name.slice(5)) : undefined);
const sectionFile = (path: string, section: string): string => join(path, `${section}.safetensors`);

/**
 * Writes `checkpoints/step-…` of a run: to a temporary folder, flushed to disk, renamed, then named by
 * `checkpoints/latest`. A crash at any moment leaves the checkpoint whole or absent, and the ones before it whole. Keeps
 * the newest `keep` checkpoints. A whole checkpoint of the same step stays as it is. The arrays must not change until the
 * promise resolves.
 */
export async function writeCheckpoint(
  run: string,
  content: CheckpointContent,
  { keep = Number.POSITIVE_INFINITY }: { keep?: number } = {},
): Promise<CheckpointPlace> {
  const checkpoints = join(run, "checkpoints");
  const path = join(checkpoints, folderName(content.step));
  if ((await readState(path)) !== undefined) return { step: content.step, path };
  const temporary = temporaryName(path);
  await mkdir(temporary, { recursive: true });
  await syncFolder(run);
  try {
    await writeFiles(temporary, content);
    await removeFolder(path); // a damaged one
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(checkpoints);
  await writeFileAtomic(join(checkpoints, "latest"), `${folderName(content.step)}\n`);
  const older = (await listCheckpoints(run)).filter(({ step }) => step !== content.step);
  for (const { path: old } of older.slice(Math.max(1, keep) - 1)) await removeFolder(old);
  return { step: content.step, path };
}

/** Reads a checkpoint folder. Throws FormatError when it is not whole. */
export async function readCheckpoint(path: string): Promise<CheckpointContent> {
  const file = await readState(path);
  if (file === undefined) {
    throw new FormatError(
      `${path} is not a whole checkpoint: state.json and every weight file it lists must be there.`,
    );
  }
  const sections: [string, NamedArrays][] = [];
  for (const section of Object.keys(file.sections)) {
    sections.push([section, (await readSafetensorsFile(sectionFile(path, section))).tensors]);
  }
  return { step: file.step, eventsBytes: file.eventsBytes, sections: Object.fromEntries(sections), state: file.state };
}

/** The newest whole checkpoint of a run, if it has one. */
export async function findCheckpoint(run: string): Promise<CheckpointPlace | undefined> {
  for (const place of await listCheckpoints(run)) {
    if ((await readState(place.path)) !== undefined) return place;
  }
  return undefined;
}

/**
 * Puts `checkpoints/` in order after a kill: removes what was half written or half removed, and lets `latest` name the
 * newest whole checkpoint, which is returned. Only the process that holds the run's lock may call it.
 */
export async function recoverCheckpoints(run: string): Promise<CheckpointPlace | undefined> {
  const checkpoints = join(run, "checkpoints");
  for (const name of await namesIn(checkpoints)) {
    if (isTemporary(name)) await rm(join(checkpoints, name), { recursive: true, force: true });
  }
  const newest = await findCheckpoint(run);
  if (newest !== undefined) await writeFileAtomic(join(checkpoints, "latest"), `${folderName(newest.step)}\n`);
  return newest;
}

/** Checkpoint folders of a run, newest first, whole or not. */
async function listCheckpoints(run: string): Promise<CheckpointPlace[]> {
  const checkpoints = join(run, "checkpoints");
  const places = (await namesIn(checkpoints)).flatMap((name) => {
    const step = stepOf(name);
    return step === undefined ? [] : [{ step, path: join(checkpoints, name) }];
  });
  return places.sort((a, b) => b.step - a.step);
}

async function writeFiles(folder: string, { step, eventsBytes, sections, state }: CheckpointContent): Promise<void> {
  const bytes: Record<string, number> = {};
  for (const [section, arrays] of Object.entries(sections)) {
    await writeSafetensorsFile(sectionFile(folder, section), arrays);
    bytes[section] = (await stat(sectionFile(folder, section))).size;
  }
  await writeJsonAtomic(join(folder, "state.json"), { step, eventsBytes, sections: bytes, state } satisfies StateFile);
}

/** state.json of a checkpoint that is whole: it can be read, and each weight file has the length it tells. */
async function readState(path: string): Promise<StateFile | undefined> {
  try {
    const state = join(path, "state.json");
    const file = parseJson(await readBoundedText(state, "the state of a run"), state);
    if (!isStateFile(file)) return undefined;
    for (const [section, bytes] of Object.entries(file.sections)) {
      if ((await stat(sectionFile(path, section))).size !== bytes) return undefined;
    }
    return file;
  } catch (error) {
    if (error instanceof FormatError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Removes a folder so that a kill in between leaves it whole or under a temporary name. */
async function removeFolder(path: string): Promise<void> {
  const aside = temporaryName(path);
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
