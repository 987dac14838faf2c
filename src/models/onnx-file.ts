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
  return readOnnx(bytes, { name: path, external: (place, where) => readExternal(dirname(path), place, where) });
}

/** Bytes of a file below a folder; links may not lead out of it. */
async function readExternal(folder: string, place: ExternalData, where: string): Promise<Uint8Array> {
  const { location, offset, length } = place;
  const found = await realpath(join(folder, location)).catch((error: NodeJS.ErrnoException) => {
    throw new FormatError(`${where} lies in ${location} beside the model, which cannot be read (${error.code}).`);
  });
  if (relative(await realpath(folder), found).split(sep)[0] === "..")
    throw new FormatError(`${where}: external data lies in the model's folder, but ${location} leads out of it.`);
  const file = await openFile(found);
  try {
    const end = length === undefined ? file.size : offset + length;
    if (offset > end || end > file.size)
      throw new FormatError(`${where} needs bytes ${offset} to ${end} of ${location}, which has ${file.size}.`);
    return await file.read(offset, end);
  } finally {
    await file.close();
  }
}
