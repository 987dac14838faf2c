import { describe, expect, test } from "vitest";
import { ShapeError } from "../src/core/errors.ts";
import { additiveMask, attention } from "../src/nn/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import {
  concat,
  constant,
  einsum,
  evaluate,
  fill,
  gather,
  gradient,
  input,
  instanceNorm,
  oneHot,
  rmsNorm,
  sort,
  split,
  stack,
  type Tensor,
  takeAlongAxis,
  tile,
  topK,
  where,
} from "../src/tensor/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";

const range = (n: number, f: (k: number) => number = (k) => k) => Array.from({ length: n }, (_, k) => f(k));
const floats = (values: readonly number[], shape: readonly number[] = [values.length]) =>
  constant(Float32Array.from(values), shape);
const ints = (values: readonly number[], shape: readonly number[] = [values.length]) =>
  constant(Int32Array.from(values), shape);
const valuesOf = (x: Tensor) => [...evaluate([x])[0]!];
const wave = (k: number) => Math.fround(2 * Math.sin(1.7 * k + 0.3)); // distinct values of order 1

/** The value of a graph without inputs, from ONNX Runtime; it must be the float64 one. */
async function both(x: Tensor): Promise<number[]> {
  const reference = valuesOf(x);
  const program = await nodeRuntime({ threads: 1 }).compile({ y: x.cast("float32") });
  const { y } = await program.run({});
  expect(relativeError(y!, reference)).toBeLessThan(tolerances.float32);
  await program.release();
  return reference;
}

describe("activations made of others agree with their formulas", () => {
  const points = [-100, -30, -3, -1, -0.1, 0, 0.2, 1, 4, 30, 100];
  const softplus = (t: number) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));
  test.each<[string, (x: Tensor) => Tensor, (t: number) => number]>([
    ["softplus", (x) => x.softplus(), softplus],
    ["logSigmoid", (x) => x.logSigmoid(), (t) => -softplus(-t)],
    ["mish", (x) => x.mish(), (t) => t * Math.tanh(softplus(t))],
    [
      "geluTanh",
      (x) => x.geluTanh(),
      (t) => (t / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (t + 0.044715 * t ** 3))),
    ],
  ])("%s, with a finite gradient everywhere", async (_, f, want) => {
    const x = floats(points);
    const y = f(x);
    expect(relativeError(await both(y), [...x.data!].map(want))).toBeLessThan(1e-12);
    for (const slope of await both(gradient(y.sum(), [x])[0]!)) expect(Number.isFinite(slope)).toBe(true);
  });

  test("the tanh form of GELU is within 1e-3 of the exact one", () => {
    const x = floats(range(81, (k) => (k - 40) / 10));
    const difference = evaluate([x.gelu().sub(x.geluTanh()).abs().max()])[0]![0]!;
    expect(difference).toBeLessThan(1e-3);
  });
});

describe("comparisons, where and clip", () => {
  const a = floats([1, 2, 3]);

  test("each comparison, with ties", async () => {
    expect(await both(a.less(2))).toEqual([1, 0, 0]);
    expect(await both(a.lessEqual(2))).toEqual([1, 1, 0]);
    expect(await both(a.greater(2))).toEqual([0, 0, 1]);
    expect(await both(a.greaterEqual(2))).toEqual([0, 1, 1]);
    expect(await both(a.equal(2))).toEqual([0, 1, 0]);
    expect(await both(a.notEqual(2))).toEqual([1, 0, 1]);
    expect(await both(ints([4, 5]).less(5))).toEqual([1, 0]);
  });

  test("where keeps the branch that is not taken out of value and gradient", async () => {
    const x = floats([-1, 0, 4]);
    const y = where(x.greater(0), x.log(), 0);
    expect(await both(y)).toEqual([0, 0, Math.log(4)]);
    const safe = where(x.greater(0), x, 1).sqrt(); // the usual way round an infinite slope
    expect(await both(gradient(safe.sum(), [x])[0]!)).toEqual([0, 0, 0.25]);
  });

  test("clip passes the gradient inside its bounds, bounds included", async () => {
    const x = floats([-2, -1, 0, 1, 2]);
    expect(await both(x.clip(-1, 1))).toEqual([-1, -1, 0, 1, 1]);
    expect(await both(gradient(x.clip(-1, 1).sum(), [x])[0]!)).toEqual([0, 1, 1, 1, 0]);
    expect(() => x.clip(1, -1)).toThrow("low ≤ high");
  });

  test("rounding goes to the even integer at halves", async () => {
    expect(await both(floats([-2.5, -1.5, 0.5, 1.5, 2.5, 2.6]).round())).toEqual([-2, -2, 0, 2, 2, 3]);
  });
});

describe("powers", () => {
  test("derivatives of x^p at 0 are those of the polynomial", async () => {
    const x = floats([0, 2]);
    for (const [p, first, second] of [
      [1, [1, 1], [0, 0]],
      [2, [0, 4], [2, 2]],
      [3, [0, 12], [0, 12]],
    ] as const) {
      const [slope] = gradient(x.pow(p).sum(), [x]) as [Tensor];
      expect(await both(slope)).toEqual(first);
      expect(valuesOf(gradient(slope.sum(), [x])[0]!)).toEqual(second);
    }
  });

  test("a tensor as exponent", async () => {
    expect(relativeError(await both(floats([2, 3]).pow(floats([3, -1]))), [8, 1 / 3])).toBeLessThan(1e-12);
  });
});

describe("reductions", () => {
  const x = floats(range(24, wave), [2, 3, 4]);

  test("variance is E[x²] − E[x]²", async () => {
    const law = x
      .square()
      .mean([0, 2])
      .sub(x.mean([0, 2]).square());
    expect(relativeError(await both(x.variance([0, 2])), valuesOf(law))).toBeLessThan(1e-12);
    expect(x.variance([0, 2], true).shape).toEqual([1, 3, 1]);
  });

  test("equal extreme values share the gradient", async () => {
    const y = floats([3, 1, 3, 0], [2, 2]);
    expect(await both(gradient(y.max(), [y])[0]!)).toEqual([0.5, 0, 0.5, 0]);
    expect(await both(gradient(y.min([0]).sum(), [y])[0]!)).toEqual([0.5, 0, 0.5, 1]);
  });

  test("logSumExp neither overflows nor loses −∞, and its gradient is softmax", async () => {
    expect(await both(floats([1000, 1000]).logSumExp())).toEqual([1000 + Math.log(2)]);
    expect(valuesOf(floats([-Infinity, 0]).logSumExp())).toEqual([0]);
    const grad = gradient(x.logSumExp([1]).sum(), [x])[0]!;
    expect(relativeError(await both(grad), valuesOf(x.softmax(1)))).toBeLessThan(1e-12);
  });

  test("a running sum ends with the sum, and the reverse one starts with it", async () => {
    const sum = valuesOf(x.sum([1], true));
    expect(relativeError(await both(x.cumsum(1).slice(1, 2, 3)), sum)).toBeLessThan(1e-12);
    expect(relativeError(await both(x.cumsum(1, true).slice(1, 0, 1)), sum)).toBeLessThan(1e-12);
  });
});

describe("arranging", () => {
  const x = floats(range(6), [2, 3]);

  test("tile repeats along every axis", async () => {
    expect(await both(tile(x, [2, 2]))).toEqual([
      0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5,
    ]);
    expect(valuesOf(gradient(tile(x, [2, 3]).sum(), [x])[0]!)).toEqual(range(6, () => 6));
    expect(() => tile(x, [2])).toThrow(ShapeError);
  });

  test("what is split can be joined again", async () => {
    expect(await both(concat(split(x, [1, 2], 1), 1))).toEqual(range(6));
    expect(split(x, 3, -1).map((part) => part.shape)).toEqual(range(3).map(() => [2, 1]));
    expect(() => split(x, 2, 1)).toThrow("3 entries");
    expect(() => split(x, [1, 1], 1)).toThrow("3 entries");
  });

  test("stack makes a new axis", async () => {
    const y = x.add(10);
    expect(await both(stack([x, y]))).toEqual([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]);
    expect(await both(stack([x, y], -1))).toEqual([0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15]);
    expect(stack([x, y], 1).shape).toEqual([2, 2, 3]);
  });
});

describe("picking along axes", () => {
  const x = floats([3, 1, 2, 5, 9, 7], [2, 3]);

  test("topK and sort give values, positions, and a gradient to the picked values", async () => {
    const { values, indices } = topK(x, 2);
    expect(await both(values)).toEqual([3, 2, 9, 7]);
    expect(indices.dtype).toBe("int32");
    expect(await both(indices)).toEqual([0, 2, 1, 2]);
    expect(await both(gradient(values.sum(), [x])[0]!)).toEqual([1, 0, 1, 0, 1, 1]);
    expect(await both(sort(x).values)).toEqual([1, 2, 3, 5, 7, 9]);
    expect(await both(sort(x, 0, true).values)).toEqual([5, 9, 7, 3, 1, 2]);
    expect(() => topK(x, 4)).toThrow("1 ≤ k ≤ 3");
  });

  test("gather along the last axis picks columns, and repeated ids add up in the gradient", async () => {
    const picked = gather(x, ints([2, 0, 2]), -1);
    expect(await both(picked)).toEqual([2, 3, 2, 7, 5, 7]);
    expect(await both(gradient(picked.sum(), [x])[0]!)).toEqual([1, 0, 2, 1, 0, 2]);
  });

  test("takeAlongAxis picks another column in each row", async () => {
    const picked = takeAlongAxis(x, ints([1, 0], [2, 1]), 1);
    expect(await both(picked)).toEqual([1, 5]);
    expect(() => takeAlongAxis(x, ints([1, 0, 2], [3, 1]), 1)).toThrow("off axis 1");
  });

  test("oneHot times a table is gather", async () => {
    const ids = ints([2, 0, 1, 1], [2, 2]);
    const table = floats(range(6, wave), [3, 2]);
    expect(await both(oneHot(ids, 3).matmul(table))).toEqual(valuesOf(gather(table, ids)));
    expect(valuesOf(oneHot(ints([3, -1]), 3))).toEqual(range(6, () => 0));
  });
});

describe("types", () => {
  const ids = input("ids", [2, 3], "int32");

  test("operators that move values keep int32, and the result can index", async () => {
    const moved = [
      ids.reshape([3, 2]),
      ids.transpose(),
      ids.slice(1, 0, 2),
      ids.slice(0, 0, 1).expand([4, 3]),
      concat([ids, ids], 0),
      ids.stopGradient(),
      gather(ids, ints([1]), 0),
      tile(ids, [1, 2]),
      stack([ids, ids]),
    ];
    const table = floats(range(8, wave), [4, 2]);
    const program = await nodeRuntime({ threads: 1 }).compile(
      Object.fromEntries(moved.map((x, k) => [`y${k}`, gather(table, x)])),
    );
    const given = [3, 0, 1, 2, 2, 1];
    const got = await program.run({ ids: Int32Array.from(given) });
    for (const [k, x] of moved.entries()) {
      expect(x.dtype).toBe("int32");
      expect(relativeError(got[`y${k}`]!, evaluate([gather(table, x)], { ids: given })[0]!)).toBe(0);
    }
    await program.release();
  });

  test("integers are counted with as integers, and numbers beside them become integers", async () => {
    const n = ints([1, 2, 3]);
    const y = n.mul(3).add(n).sub(1);
    expect(y.dtype).toBe("int32");
    expect(await both(y)).toEqual([3, 7, 11]);
    expect(await both(n.sum())).toEqual([6]);
    expect(() => n.mul(0.5)).toThrow("32-bit integer");
    expect(() => fill([], 2 ** 31, "int32")).toThrow("32-bit integer");
  });

  test("types are not mixed in silence", () => {
    expect(() => ids.add(input("x", [3]))).toThrow("one type");
    expect(() => ids.exp()).toThrow("float32 operands");
    expect(() => ids.div(2)).toThrow("float32 operands");
    expect(() => gather(input("x", [3]), input("k", [1]))).toThrow("ids must be int32");
  });

  test("a cast to int32 cuts towards zero and ends the gradient", async () => {
    const x = floats([-1.7, 0.4, 2.9]);
    expect(await both(x.cast("int32"))).toEqual([-1, 0, 2]);
    expect(valuesOf(gradient(x.cast("int32").cast("float32").sum(), [x])[0]!)).toEqual([0, 0, 0]);
    expect(x.cast("float32")).toBe(x);
  });
});

describe("normalisation", () => {
  test("rmsNorm makes the mean square 1 and ignores the scale", async () => {
    const x = floats(range(8, wave), [2, 4]);
    expect(relativeError(await both(rmsNorm(x, 0).square().mean([1])), [1, 1])).toBeLessThan(1e-12);
    expect(relativeError(await both(rmsNorm(x.mul(3), 0)), valuesOf(rmsNorm(x, 0)))).toBeLessThan(1e-12);
  });

  test("instanceNorm gives each channel of each sample its bias as mean and its gain as deviation", async () => {
    const y = instanceNorm(floats(range(24, wave), [2, 3, 4]), floats([1, 2, 3]), floats([0, 1, -1]), 0);
    expect(relativeError(await both(y.mean([2])), [0, 1, -1, 0, 1, -1])).toBeLessThan(1e-12);
    expect(relativeError(await both(y.variance([2])), [1, 4, 9, 1, 4, 9])).toBeLessThan(1e-12);
  });
});

describe("attention", () => {
  test("a key that is masked does not matter, and a row that sees nothing stays finite", async () => {
    const q = floats(range(8, wave), [1, 2, 4]);
    const k = floats(
      range(12, (i) => wave(i + 5)),
      [1, 3, 4],
    );
    const v = floats(
      range(12, (i) => wave(i + 50)),
      [1, 3, 4],
    );
    const seen = attention(q, k, v, 2, additiveMask(ints([1, 1, 0])));
    const short = attention(q, k.slice(1, 0, 2), v.slice(1, 0, 2), 2);
    expect(relativeError(await both(seen), valuesOf(short))).toBeLessThan(1e-12);
    for (const y of await both(attention(q, k, v, 2, additiveMask(floats([0, 0, 0]))))) expect(y).not.toBeNaN();
  });
});

/** Sums over every assignment of the letters, one product at a time. */
function naiveEinsum(equation: string, operands: readonly Tensor[]): number[] {
  const [left, result] = equation.split("->") as [string, string];
  const terms = left.split(",");
  const sizes = new Map<string, number>();
  terms.forEach((letters, k) => {
    for (const [axis, letter] of [...letters].entries()) sizes.set(letter, operands[k]!.shape[axis]!);
  });
  const letters = [...sizes.keys()];
  const at = new Map<string, number>();
  const flat = (term: string) => [...term].reduce((p, letter) => p * sizes.get(letter)! + at.get(letter)!, 0);
  const out = range([...result].reduce((n, letter) => n * sizes.get(letter)!, 1)).fill(0);
  const total = [...sizes.values()].reduce((p, q) => p * q, 1);
  for (let state = 0; state < total; state++) {
    let rest = state;
    for (const letter of letters) {
      at.set(letter, rest % sizes.get(letter)!);
      rest = Math.floor(rest / sizes.get(letter)!);
    }
    out[flat(result)]! += terms.reduce((p, term, k) => p * (operands[k]!.data as Float32Array)[flat(term)]!, 1);
  }
  return out;
}

describe("einsum", () => {
  const sizes: Record<string, number> = { a: 2, b: 3, c: 4, d: 5, h: 2 };
  const operandsOf = (equation: string) =>
    equation
      .split("->")[0]!
      .split(",")
      .map((letters, k) => {
        const shape = [...letters].map((letter) => sizes[letter]!);
        return floats(
          range(
            shape.reduce((p, q) => p * q, 1),
            (i) => wave(i + 100 * k),
          ),
          shape,
        );
      });

  test.each([
    "ab,bc->ac",
    "ba,bc->ac",
    "ab,cb->ca",
    "ab,b->a",
    "a,b->ab",
    "ab,ab->ab",
    "ab,ab->",
    "ab,bc->abc",
    "ab->ba",
    "abc->b",
    "abc,acd->abd",
    "hab,hcb->hac",
    "bhd,chd->hbc",
    "abc,dc->abd",
    "abcd,cdh->hab",
    "abd,c->cb",
    "ab,bc,cd->ad",
    "ab,ac,ad->bcd",
    "ab,cd->ac",
    ",a->a",
  ])("%s", async (equation) => {
    const operands = operandsOf(equation);
    const want = naiveEinsum(equation, operands);
    expect(relativeError(await both(einsum(equation, ...operands)), want)).toBeLessThan(1e-12);
  });

  test("its gradient is the einsum with the operand replaced by the cotangent", () => {
    const [a, b] = operandsOf("abc,acd->abd") as [Tensor, Tensor];
    const v = operandsOf("abd->")[0]!;
    const [da] = gradient(einsum("abc,acd->abd", a, b).mul(v).sum(), [a]) as [Tensor];
    expect(relativeError(valuesOf(da), valuesOf(einsum("abd,acd->abc", v, b)))).toBeLessThan(1e-12);
  });

  test.each([
    ["ab,bc", 'must read like "ab,bc->ac"'],
    ["a...,b->ab", 'must read like "ab,bc->ac"'],
    ["ab->a", "1 operands are needed"],
    ["abc,bc->ac", '"abc" needs an operand of 3 axes'],
    ["ab,ac->bc", 'axes "a" must have one size, not 2 and 3'],
    ["aa,bc->ac", 'axes "a" must have one size'],
    ["ab,bc->aa", 'a letter may stand only once in "aa"'],
    ["ab,bc->ad", '"d" of the result must stand in an operand'],
  ])("refuses %s and says why", (equation, rule) => {
    const [a, b] = operandsOf("ab,bc->ac") as [Tensor, Tensor];
    expect(() => einsum(equation, a, b)).toThrow(rule);
  });
});
