import { type FileHandle, open } from "node:fs/promises";
import { writeFileAtomic } from "../core/atomic-file.ts";
import { FormatError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { decodeNumbers, type WrittenFormat } from "./number-formats.ts";
import { type SafetensorsContent, type SafetensorsTensor, safetensorsParts } from "./safetensors.ts";
import { headerLength, parseHeader } from "./safetensors-header.ts";

/** Reads a safetensors file tensor by tensor: files beyond 4 GB work, and no copy of the whole file is held. */
export async function readSafetensorsFile(path: string): Promise<SafetensorsContent> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const prefix = await readRange(file, 0, Math.min(8, size), path);
    const headerBytes = headerLength(prefix, size, path);
    const { entries, metadata } = parseHeader(await readRange(file, 0, headerBytes, path), size, path);
    const tensors: [string, SafetensorsTensor][] = [];
    for (const { name, dtype, shape, begin, end } of entries) {
      const bytes = await readRange(file, begin, end, path);
      tensors.push([name, { dtype, shape, data: decodeNumbers(bytes, dtype) }]);
    }
    return { tensors: Object.fromEntries(tensors), metadata };
  } finally {
    await file.close();
  }
}

/** Writes what writeSafetensors would, so that a crash leaves the old file or the new one, never half of one. */
export async function writeSafetensorsFile(
  path: string,
  tensors: NamedArrays,
  metadata: Readonly<Record<string, string>> = {},
  dtype: WrittenFormat = "F32",
): Promise<void> {
  await writeFileAtomic(path, safetensorsParts(tensors, metadata, dtype));
}

async function readRange(file: FileHandle, begin: number, end: number, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  const largest = 2 ** 30; // one read takes less than 2 GiB
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(largest, bytes.length - at), begin + at);
    if (bytesRead === 0) throw new FormatError(`${path}: the file became shorter while it was read.`);
    at += bytesRead;
  }
  return bytes;
}
