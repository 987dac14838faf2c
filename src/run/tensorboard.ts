import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { maskedCrc32c } from "./crc32c.ts";

export interface TensorBoardOptions {
  /** A resumed run: TensorBoard forgets what earlier files tell of this step and later ones. */
  readonly purgeStep?: number;
  readonly host?: string;
  readonly now?: () => Date;
}

/**
 * Writes one TensorBoard event file, `events.out.tfevents.SECONDS.HOST.PID.COUNT`, into a folder. Each call is one
 * record of the TFRecord format, handed to the system before it returns.
 */
export class TensorBoardWriter {
  static #count = 0;
  readonly path: string;
  readonly #file: number;
  readonly #now: () => Date;

  constructor(folder: string, { purgeStep, host = hostname(), now = () => new Date() }: TensorBoardOptions = {}) {
    mkdirSync(folder, { recursive: true });
    const seconds = String(Math.floor(now().getTime() / 1000)).padStart(10, "0");
    const name = `events.out.tfevents.${seconds}.${host}.${process.pid}.${TensorBoardWriter.#count++}`;
    this.path = join(folder, name);
    this.#file = openSync(this.path, "wx");
    this.#now = now;
    this.#write([text(3, "brain.Event:2")]);
    const sessionStart = 1; // SessionLog.SessionStatus.START
    if (purgeStep !== undefined) this.#write([varint(2, purgeStep), message(7, [varint(1, sessionStart)])]);
  }

  /** One record with these numbers at `step`; slashes in names group charts. */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const items = Object.entries(values).map(([tag, value]) => message(1, [text(1, tag), float(2, value)]));
    this.#write([varint(2, step), message(5, items)]);
  }

  /** A PNG of these sizes (pixels) with RGB colours. */
  image(step: number, tag: string, { png, width, height }: { png: Uint8Array; width: number; height: number }): void {
    const rgb = 3; // Summary.Image.colorspace
    const image = message(4, [varint(1, height), varint(2, width), varint(3, rgb), bytes(4, png)]);
    this.#write([varint(2, step), message(5, [message(1, [text(1, tag), image])])]);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(fields: readonly Uint8Array[]): void {
    const event = Buffer.concat([double(1, this.#now().getTime() / 1000), ...fields]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(event.length));
    const record = Buffer.concat([length, uint32(maskedCrc32c(length)), event, uint32(maskedCrc32c(event))]);
    for (let at = 0; at < record.length; ) at += writeSync(this.#file, record, at);
  }
}

// Fields of protocol buffer messages. A field starts with 8 · number + wire type: 0 varint, 1 eight bytes, 2 bytes with
// their length, 5 four bytes.

const text = (field: number, value: string): Uint8Array => bytes(field, Buffer.from(value));
const message = (field: number, fields: readonly Uint8Array[]): Uint8Array => bytes(field, Buffer.concat(fields));
const varint = (field: number, value: number): Uint8Array => Uint8Array.of(8 * field, ...varintBytes(value));

function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(8 * field + 2, ...varintBytes(value.length)), value]);
}

function double(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(9, 8 * field + 1);
  out.writeDoubleLE(value, 1);
  return out;
}

function float(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(5, 8 * field + 5);
  out.writeFloatLE(value, 1);
  return out;
}

/** Seven bits a byte, least first; the top bit tells that more follow. */
function varintBytes(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80);
  out.push(rest);
  return out;
}

function uint32(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}
