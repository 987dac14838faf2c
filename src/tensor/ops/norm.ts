import { ShapeError } from "../../core/errors.ts";
import { defineOperator, type Emitter, type OperatorNode, type ReferenceArray } from "../operator.ts";
import { showShape } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";

/*
 * Row statistics over the last axis (length L):  m = Σ x/L,  inv = 1/√(Σ(x−m)²/L + eps),  standardize(x) = (x − m)·inv.
 * ONNX Runtime's LayerNormalization gives all three in one node; the operators below share it.
 */

function rowStatistics(x: ReferenceArray, eps: number): { mean: Float64Array; inv: Float64Array; length: number } {
  const length = x.shape[x.shape.length - 1]!;
  const rows = x.data.length / length;
  const mean = new Float64Array(rows);
  const inv = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const row = x.data.subarray(r * length, (r + 1) * length);
    let sum = 0;
    for (const v of row) sum += v;
    mean[r] = sum / length;
    let squares = 0;
    for (const v of row) squares += (v - mean[r]!) ** 2;
    inv[r] = 1 / Math.sqrt(squares / length + eps);
  }
  return { mean, inv, length };
}

const keepLast = (x: Tensor) => [...x.shape.slice(0, -1), 1];
const epsOf = (node: OperatorNode) => node.attrs.eps as number;

function layerNormalization(e: Emitter, x: string, { inputs, attrs }: OperatorNode): readonly string[] {
  const length = inputs[0]!.shape[inputs[0]!.rank - 1]!;
  return e.shared(`layerNormalization:${x}:${attrs.eps}`, () => {
    const ones = e.shared(`ones:${length}`, () => e.constant(new Float32Array(length).fill(1), [length]));
    return e.nodes("LayerNormalization", [x, ones], { axis: -1, epsilon: { float: attrs.eps as number } }, 3);
  });
}

/** (x − m)·inv over the last axis. */
export const standardize = (x: Tensor, eps: number): Tensor => apply("standardize", [x], { eps });

const samples = () => [
  { inputs: [{ shape: [3, 5] }], attrs: { eps: 1e-5 } },
  { inputs: [{ shape: [2, 3, 8] }], attrs: { eps: 1e-2 } },
];

defineOperator({
  name: "standardize",
  shape([x]) {
    if (x!.rank < 1) throw new ShapeError(`standardize: needs at least one axis, but ${showShape(x!.shape)} came.`);
    return x!.shape;
  },
  reference([x], attrs) {
    const { mean, inv, length } = rowStatistics(x!, attrs.eps as number);
    return x!.data.map((v, i) => (v - mean[Math.floor(i / length)]!) * inv[Math.floor(i / length)]!);
  },
  // dx = inv·(v − mean(v) − y·mean(v·y))
  vjp(node, v) {
    const y = node.output;
    const centred = v.sub(v.mean([-1], true)).sub(y.mul(v.mul(y).mean([-1], true)));
    return [centred.mul(apply("invStd", [node.inputs[0]!], { eps: epsOf(node) }))];
  },
  emit: (e, [x], node) => layerNormalization(e, x!, node)[0]!,
  samples,
});

defineOperator({
  name: "rowMean",
  shape: ([x]) => keepLast(x!),
  reference: ([x], attrs) => rowStatistics(x!, attrs.eps as number).mean,
  vjp: ({ inputs: [x] }, v) => [v.mul(1 / x!.shape[x!.rank - 1]!).expand(x!.shape)],
  emit: (e, [x], node) => layerNormalization(e, x!, node)[1]!,
  samples,
});

defineOperator({
  name: "invStd",
  shape: ([x]) => keepLast(x!),
  reference: ([x], attrs) => rowStatistics(x!, attrs.eps as number).inv,
  // d inv = −inv³/L · Σ (x − m) dx = −inv²/L · Σ y dx
  vjp(node, v) {
    const x = node.inputs[0]!;
    const scale = node.output
      .square()
      .mul(v)
      .mul(-1 / x.shape[x.rank - 1]!);
    return [standardize(x, epsOf(node)).mul(scale)];
  },
  emit: (e, [x], node) => layerNormalization(e, x!, node)[2]!,
  samples,
});

/**
 * Group normalisation of x [B,C,...] with gain and bias [C]: each of `groups` channel groups of each sample is
 * standardised, then scaled and shifted per channel [wu2018group].
 */
export const groupNorm = (x: Tensor, gain: Tensor, bias: Tensor, groups: number, eps: number): Tensor =>
  apply("groupNorm", [x, gain, bias], { groups, eps });

/** Per-(B,C) coefficients from per-(B,G) ones. */
const perChannel = (stat: Tensor, channels: number): Tensor => {
  const [B, G] = stat.shape as [number, number];
  return stat
    .reshape([B, G, 1])
    .expand([B, G, channels / G])
    .reshape([B, channels]);
};

defineOperator({
  name: "groupNorm",
  shape([x, gain, bias], attrs) {
    const channels = x!.shape[1];
    const groups = attrs.groups as number;
    if (x!.rank < 3 || gain!.size !== channels || bias!.size !== channels || channels % groups !== 0) {
      throw new ShapeError(
        `groupNorm: x [B,C,…] needs gain and bias [C] and C divisible by groups, but x ${showShape(x!.shape)}, gain ${showShape(gain!.shape)}, bias ${showShape(bias!.shape)}, groups ${groups} came.`,
      );
    }
    return x!.shape;
  },
  reference([x, gain, bias], attrs) {
    const [B, C] = x!.shape as [number, number];
    const groups = attrs.groups as number;
    const rows = { shape: [B * groups, x!.data.length / (B * groups)], data: x!.data };
    const { mean, inv, length } = rowStatistics(rows, attrs.eps as number);
    const inner = x!.data.length / (B * C);
    return x!.data.map((v, i) => {
      const row = Math.floor(i / length);
      const c = Math.floor(i / inner) % C;
      return (v - mean[row]!) * inv[row]! * gain!.data[c]! + bias!.data[c]!;
    });
  },
  /*
   * With S1 = Σ v and S2 = Σ v·x over space (per B, C), n = elements of a group, x̂ = (x − m)·inv:
   *   dbias = Σ_B S1,   dgain = Σ_B inv·(S2 − m·S1),
   *   P1 = Σ_{c∈g} gain·S1 / n,   P2 = Σ_{c∈g} gain·inv·(S2 − m·S1) / n,
   *   dx = inv·(gain·v − P1 − x̂·P2) = a·v + b·x + c  with per-(B,C) coefficients: two passes over x.
   */
  vjp({ inputs, attrs }, v) {
    const [x, gain] = inputs as [Tensor, Tensor, Tensor];
    const [B, C, ...space] = x.shape as [number, number, ...number[]];
    const groups = attrs.groups as number;
    const eps = attrs.eps as number;
    const rows = x.reshape([B * groups, x.size / (B * groups)]);
    const m = perChannel(apply("rowMean", [rows], { eps }).reshape([B, groups]), C);
    const inv = perChannel(apply("invStd", [rows], { eps }).reshape([B, groups]), C);
    const flatX = x.reshape([B, C, -1]);
    const flatV = v.reshape([B, C, -1]);
    const s1 = flatV.sum([2]);
    const xhatDot = inv.mul(flatV.mul(flatX).sum([2]).sub(m.mul(s1))); // Σ v·x̂
    const n = x.size / (B * groups);
    const groupMean = (t: Tensor) =>
      perChannel(
        t
          .reshape([B, groups, C / groups])
          .sum([2])
          .mul(1 / n),
        C,
      );
    const p1 = groupMean(s1.mul(gain));
    const p2 = groupMean(xhatDot.mul(gain));
    const broad = (t: Tensor) => t.reshape([B, C, ...space.map(() => 1)]);
    const b = inv.square().mul(p2).neg();
    const c = b.mul(m).neg().sub(inv.mul(p1));
    const dx = v
      .mul(broad(inv.mul(gain)))
      .add(x.mul(broad(b)))
      .add(broad(c));
    return [dx, xhatDot.sum([0]), s1.sum([0])];
  },
  emit(e, [x, gain, bias], node) {
    const t = node.inputs[0]!;
    const [B, C, ...space] = t.shape as [number, number, ...number[]];
    const groups = node.attrs.groups as number;
    const length = t.size / (B * groups);
    const rows = e.node("Reshape", [x!, e.ints([B * groups, length])]);
    const statsNode = { ...node, inputs: [t.reshape([B * groups, length])] };
    const normal = e.node("Reshape", [layerNormalization(e, rows, statsNode)[0]!, e.ints(t.shape)]);
    const perC = e.ints([C, ...space.map(() => 1)]);
    const scaled = e.node("Mul", [normal, e.node("Reshape", [gain!, perC])]);
    return e.node("Add", [scaled, e.node("Reshape", [bias!, perC])]);
  },
  samples: () => [
    { inputs: [{ shape: [2, 4, 3, 2] }, { shape: [4] }, { shape: [4] }], attrs: { groups: 2, eps: 1e-5 } },
    { inputs: [{ shape: [2, 6, 5] }, { shape: [6] }, { shape: [6] }], attrs: { groups: 3, eps: 1e-3 } },
  ],
});
