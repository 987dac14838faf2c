import { stat } from "node:fs/promises";
import { FormatError } from "../core/errors.ts";
import { type ByteSource, openFile } from "./byte-source.ts";
import { findWeights } from "./find-weights.ts";
import { openSafetensors } from "./safetensors-file.ts";
import { openShardedSafetensors } from "./sharded-file.ts";
import { openTorchZip } from "./torch-zip.ts";
import { type WeightsContent, type WeightsFile, withWeights } from "./weights-file.ts";
import { zipMagic } from "./zip.ts";

/**
 * Opens weights: a safetensors file, the index of its shards, a file that torch.save wrote, or a folder with one of the
 * first two. What a file is is told from its first bytes, not from its name. Throws FormatError for what is none of them,
 * ConfigError when there is nothing at `path`. Close it when done.
 */
export async function openWeights(path: string): Promise<WeightsFile> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return openWeights((await findWeights(path)).path);
  const bytes = await openFile(path);
  const kind = await formatOf(bytes);
  if (kind === "torch zip") return openTorchZip(bytes);
  if (kind === "safetensors") return openSafetensors(bytes);
  await bytes.close();
  if (kind === "index") return openShardedSafetensors(path);
  throw new FormatError(
    `${path} holds no weights that can be read: it is ${kind}. Give a safetensors file, its index.json, or a .pt file of a state dict.`,
  );
}

/** Reads all weights of a file or folder, see openWeights: float32, tensor by tensor. */
export const readWeights = (path: string): Promise<WeightsContent> =>
  withWeights(openWeights(path), (file) => file.readAll());

/** "torch zip", "safetensors", "index", or in words what it is instead. */
async function formatOf(bytes: ByteSource): Promise<string> {
  const start = await bytes.read(0, Math.min(16, bytes.size));
  const text = String.fromCharCode(...start); // byte for byte; TextDecoder("latin1") is windows-1252, whose 0x80 is "€"
  if (text.startsWith(zipMagic)) return "torch zip";
  if (/^\s*\{[^\0]*$/.test(text)) return "index"; // before safetensors: its first 8 bytes are a number, with zeros
  if (text[8] === "{") return "safetensors";
  if (text.startsWith("\x80")) return "in the old format of torch.save (load it in PyTorch and save it again)";
  if (text.startsWith("GGUF")) return "a GGUF file";
  if (text.startsWith("version https://")) return "a Git LFS pointer (run git lfs pull)";
  return "of no known format";
}
