import { writeFileAtomic } from "../core/atomic-file.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { type ByteSource, openFile } from "./byte-source.ts";
import type { WrittenFormat } from "./number-formats.ts";
import { safetensorsParts } from "./safetensors.ts";
import { headerLength, parseHeader, type SafetensorsHeader } from "./safetensors-header.ts";
import { type WeightsContent, WeightsFile, withWeights } from "./weights-file.ts";

/** Reads the header alone, checked against the size of the file. */
export async function readHeader(bytes: ByteSource): Promise<SafetensorsHeader> {
  const { name, size } = bytes;
  const prefix = await bytes.read(0, Math.min(8, size));
  return parseHeader(await bytes.read(0, headerLength(prefix, size, name)), size, name);
}

/** Reads the header of a safetensors file; its tensors are read when asked for. Closes `bytes` when it throws. */
export async function openSafetensors(bytes: ByteSource): Promise<WeightsFile> {
  const { name, size } = bytes;
  try {
    const { entries, metadata } = await readHeader(bytes);
    const tensors = new Map(entries.map((entry) => [entry.name, entry]));
    return new WeightsFile({
      kind: "safetensors",
      name,
      size,
      tensors,
      metadata,
      bytes: (tensor) => bytes.read(tensors.get(tensor)!.begin, tensors.get(tensor)!.end),
      close: () => bytes.close(),
    });
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** Reads a whole safetensors file tensor by tensor: files beyond 4 GB work, and no copy of the file is held. */
export const readSafetensorsFile = (path: string): Promise<WeightsContent> =>
  withWeights(openFile(path).then(openSafetensors), (file) => file.readAll());

/** Writes what writeSafetensors would, so that a crash leaves the old file or the new one, never half of one. */
export async function writeSafetensorsFile(
  path: string,
  tensors: NamedArrays,
  metadata: Readonly<Record<string, string>> = {},
  dtype: WrittenFormat = "F32",
): Promise<void> {
  await writeFileAtomic(path, safetensorsParts(tensors, metadata, dtype));
}
