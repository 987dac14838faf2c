import { open, stat } from "node:fs/promises";
import { ConfigError, FormatError } from "../core/errors.ts";

/** Bytes that are read piece by piece: a file, or a piece of memory. */
export interface ByteSource {
  /** Said in messages. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** A fresh copy of the bytes from `begin` to before `end`, which lie inside. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Opens a file. Throws ConfigError when there is none, and for pipes and devices, which have no end. */
export async function openFile(path: string): Promise<ByteSource> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`${path} cannot be read (${error.code}). Give the path of a file.`);
  });
  if (!found.isFile()) throw new ConfigError(`${path} is no file. Give the path of a file.`);
  const file = await open(path, "r");
  return {
    name: path,
    size: found.size,
    async read(begin, end) {
      const bytes = allocated(end - begin, path);
      const largest = 2 ** 30; // one read takes less than 2 GiB
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, at, Math.min(largest, bytes.length - at), begin + at);
        if (bytesRead === 0) throw new FormatError(`${path}: the file became shorter while it was read.`);
        at += bytesRead;
      }
      return bytes;
    },
    close: () => file.close(),
  };
}

/** A sparse file of any announced size takes no disk, so that only the memory bounds what may be asked for. */
function allocated(bytes: number, path: string): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new FormatError(`${path}: one piece of it has ${bytes} bytes, which do not fit into memory.`, { cause });
  }
}

/** Bytes in memory as a source. */
export const memorySource = (bytes: Uint8Array, name: string): ByteSource => ({
  name,
  size: bytes.length,
  read: async (begin, end) => Uint8Array.from(bytes.subarray(begin, end)),
  close: async () => {},
});
