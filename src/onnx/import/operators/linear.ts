import { einsum } from "../../../tensor/index.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";

/** Matrix product; an operand of one axis is a row on the left, a column on the right, and its axis goes again. */
const matmul: Translation = (node) => {
  const [a, b] = [node.x(0), node.x(1)];
  if (a.rank === 0 || b.rank === 0) node.fail("operands need at least one axis, but a scalar came.");
  const left = a.rank === 1 ? a.reshape([1, a.size]) : a;
  const right = b.rank === 1 ? b.reshape([b.size, 1]) : b;
  const y = left.matmul(right);
  const gone = [...(a.rank === 1 ? [y.rank - 2] : []), ...(b.rank === 1 ? [y.rank - 1] : [])];
  return gone.length > 0 ? y.reshape(y.shape.filter((_, i) => !gone.includes(i))) : y;
};

/** α·op(A)·op(B) + β·C */
const gemm: Translation = (node) => {
  const [a, b, c] = [node.ofRank(0, 2), node.ofRank(1, 2), node.optional(2)];
  const [alpha, beta] = [node.float("alpha", 1), node.float("beta", 1)];
  const product = a.matmul(b, { transA: node.flag("transA"), transB: node.flag("transB") });
  const scaled = alpha === 1 ? product : product.mul(alpha);
  return c && beta !== 0 ? scaled.add(beta === 1 ? c : c.mul(beta)) : scaled;
};

/** The contrib operator that this package emits for products with a transposed operand. */
const fusedMatmul: Translation = (node) => {
  if (node.flag("transBatchA") || node.flag("transBatchB")) node.fail("transposed batch axes are not translated.");
  const y = node.x(0).matmul(node.x(1), { transA: node.flag("transA"), transB: node.flag("transB") });
  const alpha = node.float("alpha", 1);
  return alpha === 1 ? y : y.mul(alpha);
};

const einstein: Translation = (node) => einsum(explicit(node, node.word("equation", "")), ...node.operands);

/** The equation with a result (letters that stand once, in order, when it has none) and in lower case. */
function explicit(node: OnnxNode, equation: string): string {
  const text = equation.replaceAll(" ", "");
  if (text.length > 1024 || text.includes("..."))
    node.fail(`the equation ${JSON.stringify(equation.slice(0, 80))} must name all axes by letters.`);
  const [terms = "", result] = text.split("->");
  const letters = [...new Set(terms.replaceAll(",", ""))].sort();
  const once = letters.filter((letter) => terms.split(letter).length === 2).join("");
  const names = new Map(letters.map((letter, k) => [letter, String.fromCharCode(97 + k)]));
  if (letters.length > 26) node.fail(`at most 26 letters are translated, but ${letters.length} came.`);
  const renamed = (part: string) => [...part].map((letter) => names.get(letter) ?? letter).join("");
  return `${renamed(terms)}->${renamed(result ?? once)}`;
}

/** Products of matrices and tensors. */
export const products: Translations = { MatMul: matmul, Gemm: gemm, Einsum: einstein };
export const microsoftProducts: Translations = { FusedMatMul: fusedMatmul };
