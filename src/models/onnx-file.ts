import { realpath } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { FormatError } from "../core/errors.ts";
import { type ExternalData, MAX_MODEL_BYTES, type OnnxModel, readOnnx } from "../onnx/index.ts";
import { openFile } from "../weights/byte-source.ts";

/**
 * Reads an ONNX file, and the weights that it keeps in other files of its folder. Throws ConfigError when there is no such
 * file, FormatError when it is no ONNX model or names files outside of its folder.
 */
export async function openOnnxFile(path: string): Promise<OnnxModel> {
  const file = await openFile(path);
  let bytes: Uint8Array;
  try {
    if (file.size > MAX_MODEL_BYTES)
      throw new FormatError(`${path}: an ONNX file has at most ${MAX_MODEL_BYTES} bytes, but this has ${file.size}.`);
    bytes = await file.read(0, file.size);
  } finally {
    await file.close();
  }
  return readOnnx(bytes, { name: path, external: (...of) => readExternal(path, ...of) });
}

/**
 * Bytes of a file below the model's folder. Links may not lead out of it, but to where the model is a link to, as all files of a
 * hub's cache are.
 */
async function readExternal(
  path: string,
  place: ExternalData,
  where: string,
  check: (bytes: number) => void,
): Promise<Uint8Array> {
  const { location, offset, length } = place;
  const folder = dirname(path);
  const found = await realpath(join(folder, location)).catch((error: NodeJS.ErrnoException) => {
    throw new FormatError(`${where} lies in ${location} beside the model, which cannot be read (${error.code}).`);
  });
  const homes = [await realpath(folder), dirname(await realpath(path))];
  if (homes.every((home) => relative(home, found).split(sep)[0] === ".."))
    throw new FormatError(`${where}: external data lies in the model's folder, but ${location} leads out of it.`);
  const file = await openFile(found);
  try {
    const end = length === undefined ? file.size : offset + length;
    if (offset > end || end > file.size)
      throw new FormatError(`${where} needs bytes ${offset} to ${end} of ${location}, which has ${file.size}.`);
    check(end - offset);
    return await file.read(offset, end);
  } finally {
    await file.close();
  }
}
