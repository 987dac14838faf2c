import { ShapeError } from "../core/errors.ts";
import { showShape } from "./shapes.ts";
import type { Tensor } from "./tensor.ts";

/** A tensor and the letter of each of its axes. */
interface Labelled {
  letters: string;
  x: Tensor;
}

/**
 * Einstein summation in its explicit form: `einsum("ab,bc->ac", a, b)` is a matrix product. Each axis has a lower-case
 * letter; a letter that the result does not have is summed over. Any number of operands is multiplied from left to right.
 * Axes of one letter must have equal sizes; a letter may stand once in an operand (no diagonals), and "..." is not known.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  const { terms, result } = parse(equation, operands);
  const parts = terms.map((letters, k): Labelled => ({ letters, x: operands[k]! }));
  let product = parts[0]!;
  for (const [k, next] of parts.slice(1).entries()) {
    const later = result + terms.slice(k + 2).join("");
    product = multiply(product, next, later);
  }
  return ordered(sumOver(product, without(product.letters, result)), result);
}

function parse(equation: string, operands: readonly Tensor[]): { terms: string[]; result: string } {
  const fail = (rule: string) => {
    throw new ShapeError(
      `einsum: ${rule}, but "${equation}" came with ${operands.map((x) => showShape(x.shape)).join(", ")}.`,
    );
  };
  const match = /^([a-z]*(?:,[a-z]*)*)->([a-z]*)$/.exec(equation.replaceAll(" ", ""));
  if (!match) return fail('the equation must read like "ab,bc->ac", with lower-case letters and "->"');
  const terms = match[1]!.split(",");
  const result = match[2]!;
  if (terms.length !== operands.length) fail(`${terms.length} operands are needed`);
  const sizes = new Map<string, number>();
  for (const [k, letters] of terms.entries()) {
    const { shape } = operands[k]!;
    if (letters.length !== shape.length) fail(`"${letters}" needs an operand of ${letters.length} axes`);
    for (const [axis, letter] of [...letters].entries()) {
      const size = sizes.get(letter) ?? shape[axis]!;
      if (size !== shape[axis]) fail(`axes "${letter}" must have one size, not ${size} and ${shape[axis]}`);
      sizes.set(letter, size);
    }
  }
  for (const letters of [...terms, result])
    if (new Set(letters).size !== letters.length) fail(`a letter may stand only once in "${letters}"`);
  for (const letter of result) if (!sizes.has(letter)) fail(`"${letter}" of the result must stand in an operand`);
  return { terms, result };
}

const both = (a: string, b: string) => [...a].filter((letter) => b.includes(letter)).join("");
const without = (a: string, b: string) => [...a].filter((letter) => !b.includes(letter)).join("");
const sizesOf = ({ letters, x }: Labelled, wanted: string) =>
  [...wanted].map((letter) => x.shape[letters.indexOf(letter)]!);
const count = (sizes: readonly number[]) => sizes.reduce((n, d) => n * d, 1);

function sumOver({ letters, x }: Labelled, gone: string): Labelled {
  if (gone === "") return { letters, x };
  return { letters: without(letters, gone), x: x.sum([...gone].map((letter) => letters.indexOf(letter))) };
}

/** The axes in the order of `letters`. */
const ordered = (part: Labelled, letters: string): Tensor =>
  part.letters === letters ? part.x : part.x.transpose([...letters].map((letter) => part.letters.indexOf(letter)));

/** The product of two parts, summed over the letters that nothing later needs. */
function multiply(left: Labelled, right: Labelled, later: string): Labelled {
  const a = sumOver(left, without(left.letters, right.letters + later));
  const b = sumOver(right, without(right.letters, left.letters + later));
  const shared = both(a.letters, b.letters);
  const batch = both(shared, later);
  const inner = without(shared, batch);
  const rows = without(a.letters, shared);
  const columns = without(b.letters, shared);
  if (inner === "") return productOfAxes(a, b, batch, rows, columns);

  const sizes = {
    batch: sizesOf(a, batch),
    inner: sizesOf(a, inner),
    rows: sizesOf(a, rows),
    columns: sizesOf(b, columns),
  };
  // As a matrix product [batch, rows, inner]·[batch, inner, columns]; a flag spares the transpose where it can.
  const transA = a.letters === batch + inner + rows;
  const transB = b.letters === batch + columns + inner;
  const matrixA = ordered(a, transA ? a.letters : batch + rows + inner);
  const matrixB = ordered(b, transB ? b.letters : batch + inner + columns);
  const lead = batch === "" ? [] : [count(sizes.batch)];
  const [m, k, n] = [count(sizes.rows), count(sizes.inner), count(sizes.columns)];
  const y = matrixA
    .reshape([...lead, ...(transA ? [k, m] : [m, k])])
    .matmul(matrixB.reshape([...lead, ...(transB ? [n, k] : [k, n])]), { transA, transB });
  return { letters: batch + rows + columns, x: y.reshape([...sizes.batch, ...sizes.rows, ...sizes.columns]) };
}

/** Without a letter to sum over: a[batch, rows, 1]·b[batch, 1, columns], element by element. */
function productOfAxes(a: Labelled, b: Labelled, batch: string, rows: string, columns: string): Labelled {
  const ones = (letters: string) => [...letters].map(() => 1);
  const left = ordered(a, batch + rows).reshape([...sizesOf(a, batch + rows), ...ones(columns)]);
  const right = ordered(b, batch + columns).reshape([...sizesOf(b, batch), ...ones(rows), ...sizesOf(b, columns)]);
  return { letters: batch + rows + columns, x: left.mul(right) };
}
