import { FormatError } from "../core/errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { flattenStateDict } from "./flatten-state-dict.ts";
import { bytesOf } from "./number-formats.ts";
import { readPickle } from "./pickle.ts";
import { showValue } from "./show-value.ts";
import { stridedBytes } from "./strided-bytes.ts";
import { countOf } from "./tensor-shape.ts";
import { type TorchTensor, torchRules } from "./torch-objects.ts";
import { WeightsFile } from "./weights-file.ts";
import { readZipEntries, type ZipEntry } from "./zip.ts";

// What torch.save writes since 1.6: a zip with ROOT/data.pkl, the pickled object; ROOT/data/KEY, the storages; and
// ROOT/byteorder. ROOT is the file's name or "archive".

const MAX_PICKLE_BYTES = 2 ** 25; // some 100 bytes a tensor: models have thousands
const MAX_SHARING = 16; // how often the storages may be read over; tied weights share them twice

/**
 * Opens a file that torch.save wrote: state dicts of tensors, parameters and views of shared storages. Nothing in it is
 * executed. A dict under "state_dict" is taken for the weights, nested dicts are joined with dots, plain values beside
 * them become metadata. Closes `bytes` when it throws FormatError: for whole modules, and for what torch would not write.
 */
export async function openTorchZip(bytes: ByteSource): Promise<WeightsFile> {
  try {
    const entries = await readZipEntries(bytes);
    const root = await archiveRoot(entries, bytes);
    const pickle = entries.get(`${root}/data.pkl`)!;
    if (pickle.end - pickle.begin > MAX_PICKLE_BYTES) {
      throw new FormatError(
        `${bytes.name}: the pickle of a state dict has at most ${MAX_PICKLE_BYTES} bytes; this one has ${pickle.end - pickle.begin}.`,
      );
    }
    const program = await bytes.read(pickle.begin, pickle.end);
    const value = readPickle(program, torchRules(bytes.name), bytes.name);
    const { tensors, metadata } = flattenStateDict(value, program.length, bytes.name);
    const storageOf = (tensor: TorchTensor) => entries.get(`${root}/data/${tensor.storage.key}`);
    checkStorages(tensors, storageOf, bytes.name);
    return new WeightsFile({
      kind: "torch zip",
      name: bytes.name,
      size: bytes.size,
      tensors,
      metadata,
      async bytes(name) {
        const tensor = tensors.get(name)!;
        const { begin } = storageOf(tensor)!;
        return stridedBytes(tensor, (from, to) => bytes.read(begin + from, begin + to));
      },
      close: () => bytes.close(),
    });
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** The folder that holds data.pkl. Refuses zips that torch.save did not write, and big-endian numbers. */
async function archiveRoot(entries: ReadonlyMap<string, ZipEntry>, { name, read }: ByteSource): Promise<string> {
  const roots = [...entries.keys()].flatMap((entry) => /^([^/]+)\/data\.pkl$/.exec(entry)?.[1] ?? []);
  if (roots.length !== 1) {
    throw new FormatError(
      `${name} is a zip file, but not one that torch.save wrote: it should have one entry */data.pkl, and has ${roots.length}.`,
    );
  }
  const order = entries.get(`${roots[0]}/byteorder`);
  if (order) {
    const text = new TextDecoder().decode(await read(order.begin, Math.min(order.end, order.begin + 16)));
    if (text !== "little")
      throw new FormatError(`${name}: the numbers must be little-endian; byteorder is ${showValue(text)}.`);
  }
  return roots[0]!;
}

/** Every storage is there with the bytes that the pickle says, and tensors share them only so often. */
function checkStorages(
  tensors: ReadonlyMap<string, TorchTensor>,
  storageOf: (tensor: TorchTensor) => ZipEntry | undefined,
  source: string,
): void {
  const used = new Map<string, number>(); // storage → its bytes
  let total = 0;
  for (const [name, tensor] of tensors) {
    const { key, bytes } = tensor.storage;
    const entry = storageOf(tensor);
    if (!entry || entry.end - entry.begin !== bytes) {
      throw new FormatError(
        `${source}: tensor ${showValue(name)} needs the storage ${showValue(key)} of ${bytes} bytes, but the archive has ${entry ? `${entry.end - entry.begin} bytes there` : "no such entry"}.`,
      );
    }
    used.set(key, bytes);
    total += bytesOf(tensor.dtype, countOf(tensor.shape));
  }
  const stored = [...used.values()].reduce((sum, bytes) => sum + bytes, 0);
  if (total > MAX_SHARING * stored) {
    throw new FormatError(
      `${source}: the tensors have ${total} bytes, more than ${MAX_SHARING} times the ${stored} bytes of the storages that they share.`,
    );
  }
}
