import { FormatError } from "../core/errors.ts";
import { listProblems } from "./list-problems.ts";

interface Shaped {
  readonly shape: readonly number[];
}

/**
 * Throws FormatError, naming `source`, when tensors are not those that are expected: it lists the missing, the extra and the
 * misshapen.
 */
export function checkTensors(
  expected: Readonly<Record<string, Shaped>>,
  found: Readonly<Record<string, Shaped>>,
  source: string,
): void {
  const problems = [
    ...Object.keys(expected).flatMap((name) => (Object.hasOwn(found, name) ? [] : [`missing ${name}`])),
    ...Object.keys(found).flatMap((name) => (Object.hasOwn(expected, name) ? [] : [`extra ${name}`])),
    ...Object.entries(expected)
      .filter(([name, { shape }]) => Object.hasOwn(found, name) && !isSame(shape, found[name]!.shape))
      .map(([name, { shape }]) => `${name} is [${found[name]!.shape}], not [${shape}]`),
  ];
  if (problems.length > 0) throw new FormatError(`${source}: the weights do not fit: ${listProblems(problems)}.`);
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((axis, k) => axis === b[k]);
