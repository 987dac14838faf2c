import { FormatError } from "../core/errors.ts";
import { PickleDict, PickleTuple } from "./pickle.ts";
import { showValue } from "./show-value.ts";
import { TorchTensor } from "./torch-objects.ts";

const MAX_DEPTH = 64;
const NAME_BUDGET = 16; // characters of names for a byte of the pickle

export interface StateDict {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The tensors of an unpickled object by name: keys of nested dicts and places in lists are joined with dots. When the
 * object has a dict under "state_dict", as training scripts write, only the tensors in it are taken. Texts, numbers and
 * truth values of the outermost dict are the metadata. Throws FormatError, naming `source`, when the object is no dict, has
 * no tensors, gives two the same name, or refers to itself.
 */
export function flattenStateDict(value: unknown, pickleBytes: number, source: string): StateDict {
  const refuse = (what: string): never => {
    throw new FormatError(`${source}: ${what}.`);
  };
  if (!(value instanceof PickleDict)) {
    return refuse("a state dict is needed, but the file holds something else. Save model.state_dict()");
  }
  const tensors = new Map<string, TorchTensor>();
  // A dict may stand at many places: names are counted, so that a small file cannot have more than a large one.
  let budget = NAME_BUDGET * pickleBytes;
  const visit = (item: unknown, name: string, depth: number): void => {
    budget -= name.length + 1;
    if (budget < 0 || depth > MAX_DEPTH) refuse(`its dicts are nested too deeply, or stand at too many places`);
    if (item instanceof TorchTensor) {
      if (tensors.has(name)) refuse(`two tensors have the name ${showValue(name)}`);
      tensors.set(name, item);
      return;
    }
    for (const [key, child] of childrenOf(item)) visit(child, name === "" ? `${key}` : `${name}.${key}`, depth + 1);
  };
  const wrapped = value.entries?.get("state_dict");
  visit(wrapped instanceof PickleDict ? wrapped : value, "", 0);
  if (tensors.size === 0) refuse("there are no tensors in it");
  return { tensors, metadata: plainValues(value) };
}

function childrenOf(value: unknown): Iterable<readonly [string | number, unknown]> {
  if (value instanceof PickleDict) return value.entries ?? [];
  if (value instanceof PickleTuple) return value.items.entries();
  return Array.isArray(value) ? value.entries() : [];
}

function plainValues(dict: PickleDict): Record<string, string> {
  const plain = [...(dict.entries ?? [])].filter(([, value]) =>
    ["string", "number", "bigint", "boolean"].includes(typeof value),
  );
  return Object.fromEntries(plain.map(([key, value]) => [key, String(value)]));
}
