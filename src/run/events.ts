import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { readBounded } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";

/** An event as a line of events.jsonl holds it. `time` is ISO 8601 in UTC. */
export type Stamped<Event> = Event & { readonly time: string };

/**
 * Appends events to events.jsonl, one JSON object a line. A line is handed to the system before append returns, so a
 * killed process loses none; numbers that are not finite become null.
 */
export class EventWriter<Event extends { readonly type: string; readonly time?: never }> {
  readonly #file: number;
  readonly #now: () => Date;
  #bytes: number;

  /**
   * @param keepBytes the file is first cut to this length, as a checkpoint recorded it; 0 starts anew. Throws FormatError
   * when the file is shorter or no line ends there.
   */
  constructor(path: string, keepBytes = 0, now: () => Date = () => new Date()) {
    this.#file = openSync(path, "a+");
    this.#now = now;
    this.#bytes = keepBytes;
    try {
      cutAfterLine(this.#file, keepBytes, path);
    } catch (error) {
      closeSync(this.#file);
      throw error;
    }
  }

  /** Length of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  append(event: Event): Stamped<Event> {
    const { type, ...fields } = event;
    const time = this.#now().toISOString();
    const line = Buffer.from(`${JSON.stringify({ type, time, ...fields })}\n`);
    for (let at = 0; at < line.length; ) at += writeSync(this.#file, line, at);
    this.#bytes += line.length;
    return { ...event, time };
  }

  /** Flushes to disk; call it before a checkpoint records `bytes`. */
  sync(): void {
    fsyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }
}

export interface EventFile {
  readonly events: readonly Stamped<{ readonly type: string; readonly [key: string]: unknown }>[];
  /** Numbers (from 1) of lines that are no event: a kill can cut the last one short. */
  readonly damagedLines: readonly number[];
}

const MAX_EVENT_BYTES = 2 ** 28; // millions of updates

/**
 * Reads events.jsonl of a run, also while it is written. Lines that are no event are passed over. Throws FormatError for a
 * file of more than 256 MiB, the system's error when it cannot be read.
 */
export async function readEvents(path: string): Promise<EventFile> {
  const events: EventFile["events"][number][] = [];
  const damagedLines: number[] = [];
  const bytes = await readBounded(path, MAX_EVENT_BYTES, "a list of events");
  const lines = new TextDecoder().decode(bytes).split("\n"); // a kill can leave half a character, in a damaged line
  if (lines.at(-1) === "") lines.pop();
  for (const [index, line] of lines.entries()) {
    const event = parseEvent(line);
    if (event === undefined) damagedLines.push(index + 1);
    else events.push(event);
  }
  return { events, damagedLines };
}

function parseEvent(line: string): EventFile["events"][number] | undefined {
  try {
    const event = parseJson(line, "an event") as Partial<EventFile["events"][number]> | null;
    return typeof event?.type === "string" && typeof event.time === "string"
      ? (event as EventFile["events"][number])
      : undefined;
  } catch {
    return undefined; // counted as damaged
  }
}

function cutAfterLine(file: number, bytes: number, path: string): void {
  const { size } = fstatSync(file);
  if (size < bytes) {
    throw new FormatError(
      `${path} has ${size} bytes, but the checkpoint was made when it had ${bytes}: it was changed.`,
    );
  }
  const last = Buffer.from("\n");
  if (bytes > 0) readSync(file, last, 0, 1, bytes - 1);
  if (last.toString() !== "\n") {
    throw new FormatError(`${path}: the checkpoint was made at byte ${bytes}, where no line ends: it was changed.`);
  }
  ftruncateSync(file, bytes);
}
