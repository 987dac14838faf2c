import { open } from "node:fs/promises";
import { FormatError } from "./errors.ts";

// Not in core/index.ts: it needs Node, the rest of core does not.

/** Bytes of a configuration, a summary, a list of pictures: far more than any has. */
export const MAX_TEXT_BYTES = 2 ** 24;

const PIECE_BYTES = 2 ** 16; // of what tells no size

/**
 * A file of at most `most` bytes, of which no more are read, also where a pipe or a device tells no size. Throws FormatError
 * for a larger one (`what` names its kind: "a prompt file"), and the system's error when it cannot be read.
 */
export async function readBounded(path: string, most: number, what: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const tooLarge = (bytes: number) =>
      new FormatError(`${path}: ${what} has at most ${most} bytes, but this has ${bytes} or more.`);
    if (size > most) throw tooLarge(size);
    const pieces: Uint8Array[] = [];
    for (let total = 0, next = size + 1; ; next = PIECE_BYTES) {
      const piece = new Uint8Array(next);
      const { bytesRead } = await file.read(piece, 0, next);
      if (bytesRead === 0) return Buffer.concat(pieces);
      pieces.push(piece.subarray(0, bytesRead));
      total += bytesRead;
      if (total > most) throw tooLarge(total);
    }
  } finally {
    await file.close();
  }
}

/** Such a file as UTF-8 text. Throws FormatError also for other bytes. */
export async function readBoundedText(path: string, what: string, most = MAX_TEXT_BYTES): Promise<string> {
  const bytes = await readBounded(path, most, what);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${path}: ${what} is text in UTF-8, but this is not.`, { cause });
  }
}
