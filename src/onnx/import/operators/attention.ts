import { type Tensor, where } from "../../../tensor/index.ts";
import { floats } from "../fold.ts";
import type { OnnxNode, Translation, Translations } from "../node.ts";

/** Low enough that its softmax weight is exactly 0; finite, so that a row without any key stays a number. */
const HIDDEN = -1e30;
const MAX_CAUSAL = 2 ** 24;

/** [B, L, heads·D] → [B, heads, L, D]; four axes stay. */
function byHead(node: OnnxNode, k: number, attribute: string): Tensor {
  const x = node.ofRank(k, 3, 4);
  if (x.rank === 4) return x;
  const [B, L, width] = x.shape as [number, number, number];
  const heads = node.int(attribute, 0);
  if (!(heads >= 1) || width % heads !== 0) node.fail(`${attribute} must divide ${width}, but is ${heads}.`);
  return x.reshape([B, L, heads, width / heads]).transpose([0, 2, 1, 3]);
}

/** Heads that several queries share, once for each: [B, h, L, D] → [B, heads, L, D]. */
function shared(node: OnnxNode, x: Tensor, heads: number): Tensor {
  const [B, h, L, D] = x.shape as [number, number, number, number];
  if (h === heads) return x;
  if (h === 0 || heads % h !== 0) node.fail(`${h} heads of keys and values must divide ${heads} heads of queries.`);
  return x
    .reshape([B, h, 1, L, D])
    .expand([B, h, heads / h, L, D])
    .reshape([B, heads, L, D]);
}

/** softmax(scale·q·kᵀ + mask)·v; a boolean mask says which keys are seen, one of numbers is added. */
const attention: Translation = (node) => {
  if (node.optional(4) || node.optional(5)) node.fail("keys and values of earlier calls are not translated.");
  if (node.float("softcap", 0) !== 0) node.fail("softcap is not translated: it must be 0.");
  const q = byHead(node, 0, "q_num_heads");
  const [B, heads, L, D] = q.shape as [number, number, number, number];
  const k = shared(node, byHead(node, 1, "kv_num_heads"), heads);
  const v = shared(node, byHead(node, 2, "kv_num_heads"), heads);
  let scores = q.matmul(k, { transB: true }).mul(node.float("scale", 1 / Math.sqrt(D))); // [B, heads, L, S]
  const S = scores.shape[3]!;
  const mask = node.optional(3);
  if (mask) scores = node.isBoolean(3) ? where(mask, scores, HIDDEN) : scores.add(mask);
  if (node.flag("is_causal")) {
    if (L * S > MAX_CAUSAL) node.fail(`a causal mask has at most ${MAX_CAUSAL} entries, but [${L}, ${S}] came.`);
    const seen = Array.from({ length: L * S }, (_, at) => Number(at % S <= Math.floor(at / S)));
    scores = where(floats(seen, [L, S]), scores, HIDDEN);
  }
  const y = scores.softmax().matmul(v);
  return node.x(0).rank === 4 ? y : y.transpose([0, 2, 1, 3]).reshape([B, L, -1]);
};

/** Operators of transformers that stand for several of the others. */
export const attentions: Translations = { Attention: attention };
