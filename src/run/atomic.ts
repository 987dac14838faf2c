import { writeFileAtomic } from "../core/atomic-file.ts";
import { NonFiniteError } from "../core/errors.ts";

export { writeFileAtomic };

/**
 * Writes a value as indented JSON through writeFileAtomic. What JSON would lose without a word is refused: numbers that
 * are not finite (it writes null) and typed arrays (it writes objects).
 */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  const refuseLosses = (key: string, item: unknown): unknown => {
    if (typeof item === "number" && !Number.isFinite(item)) {
      throw new NonFiniteError(`${path}: "${key}" is ${item}, but JSON holds finite numbers only.`);
    }
    if (ArrayBuffer.isView(item)) throw new TypeError(`${path}: "${key}" is a typed array; store Array.from(…) of it.`);
    return item;
  };
  await writeFileAtomic(path, `${JSON.stringify(value, refuseLosses, 2)}\n`);
}
