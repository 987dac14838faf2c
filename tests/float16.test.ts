import { describe, expect, test } from "vitest";
import { emitOnnx } from "../src/onnx/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { roundToHalf } from "../src/tensor/float16.ts";
import { apply, evaluate, fill, gradient, input, operators, type Tensor, vjp } from "../src/tensor/index.ts";
import { decodeNumbers } from "../src/weights/number-formats.ts";
import { relativeError, tolerances } from "./tolerances.ts";

describe("the nearest half", () => {
  /** All finite halves from 0 up, by their bits, and the power of 2 that would follow. */
  const halves = [
    ...decodeNumbers(new Uint8Array(Uint16Array.from({ length: 0x7c00 }, (_, k) => k).buffer), "F16", "halves"),
    65536,
  ];

  test("of a half is itself, of a number between two the nearer one, halfway the one with an even last bit", () => {
    const wrong: number[] = [];
    const check = (x: number, want: number) => {
      const half = want === 65536 ? Infinity : want;
      for (const sign of [1, -1]) if (!Object.is(roundToHalf(sign * x), sign * half)) wrong.push(sign * x);
    };
    for (let k = 0; k + 1 < halves.length; k++) {
      const [below, above] = [halves[k]!, halves[k + 1]!];
      const step = above - below;
      check(below, below);
      check(below + 0.499 * step, below);
      check(below + 0.5 * step, k % 2 === 0 ? below : above);
      check(below + 0.501 * step, above);
    }
    expect(wrong).toEqual([]);
  });

  test("of what is no finite number is the same", () => {
    expect([Infinity, -Infinity, 1e9, -1e9, Number.NaN].map(roundToHalf)).toEqual([
      Infinity,
      -Infinity,
      Infinity,
      -Infinity,
      Number.NaN,
    ]);
  });
});

const runtime = nodeRuntime({ threads: 1 });

/** Values in both engines, after float32 feeds. */
async function both(outputs: readonly Tensor[], feeds: Record<string, Float32Array | Int32Array>) {
  const program = await runtime.compile(Object.fromEntries(outputs.map((y, k) => [`y${k}`, y])));
  const results = await program.run(
    Object.fromEntries(Object.keys(program.inputs).map((name) => [name, feeds[name]!])),
  );
  const got = outputs.map((_, k) => results[`y${k}`]!.slice());
  await program.release();
  return { got, want: evaluate(outputs, feeds).map((y) => Float32Array.from(y)) };
}

test("a cast rounds in ONNX Runtime as in the reference, at the edges too", async () => {
  const x = Float32Array.of(
    65504,
    65519.996,
    65520,
    -1e6,
    2 ** -24,
    2 ** -25,
    1.5 * 2 ** -25,
    3e-6,
    -6.1e-5,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    Number.NaN,
    Infinity,
  );
  const { got, want } = await both([input("x", [x.length]).cast("float16").cast("float32")], { x });
  expect(got).toEqual(want);
});

test("rounding stays where float32 arithmetic stands around it", async () => {
  const half = input("x", [3]).cast("float16");
  const square = half.cast("float32").square().cast("float16").cast("float32").add(1);
  const { got, want } = await both([square], { x: Float32Array.of(0.1, 3.3, 200.3) });
  expect(got).toEqual(want);
});

test("the derivative of a cast is the cast back: the cotangent is rounded too", () => {
  const x = input("x", [2]);
  const w = Float32Array.of(0.1, -1e-9);
  const [dx] = gradient(
    x
      .cast("float16")
      .cast("float32")
      .mul(input("w", [2]))
      .sum(),
    [x],
  );
  expect(dx!.dtype).toBe("float32");
  expect([...evaluate([dx!], { x: Float32Array.of(1, 2), w })[0]!]).toEqual([roundToHalf(w[0]!), -0]);
});

test("a half that is used twice gets the sum of both cotangents", async () => {
  const x = input("x", [3]);
  const half = x.cast("float16");
  const loss = half
    .cast("float32")
    .square()
    .sum()
    .add(half.reshape([3, 1]).cast("float32").sum());
  const { got, want } = await both(gradient(loss, [x]), { x: Float32Array.of(0.1, 0.7, -3) });
  expect(got).toEqual(want);
  expect(relativeError(want[0]!, [1.2, 2.4, -5])).toBeLessThan(tolerances.float16);
});

/** Operators that move values about, and the cast; all others compute. */
const moving = ["cast", "concat", "defer", "expand", "gather", "pad", "reshape", "slice", "takeAlongAxis", "transpose"];

describe("in the registry", () => {
  const cases = operators().flatMap((op) =>
    op
      .samples()
      .filter(({ inputs }) => inputs.some(({ integers }) => integers === undefined))
      .map((sample, k) => ({ name: op.name, k, sample })),
  );
  /** The operator with its float32 inputs rounded to halves. */
  const build = ({ name, sample }: (typeof cases)[number]) => {
    const xs = sample.inputs.map((x, i) => input(`x${i}`, x.shape, x.integers === undefined ? "float32" : "int32"));
    return {
      xs,
      apply: () =>
        apply(
          name,
          xs.map((x) => (x.dtype === "int32" ? x : x.cast("float16"))),
          sample.attrs,
        ),
    };
  };

  test("what computes refuses halves when the graph is built", () => {
    for (const one of cases.filter(({ name }) => !moving.includes(name)))
      expect(build(one).apply, one.name).toThrow(/float16.* came.*Use cast\("float32"\)/);
    expect(new Set(cases.map(({ name }) => name)).size).toBeGreaterThan(40);
  });

  test.each(cases.filter(({ name }) => moving.includes(name)))(
    "$name $k moves halves, and their gradients",
    async (one) => {
      const { xs, apply } = build(one);
      const y = apply().cast("float32");
      const floats = xs.filter((x) => x.dtype === "float32");
      const feeds = Object.fromEntries(
        xs.map((x, i) => [
          `x${i}`,
          x.dtype === "int32"
            ? Int32Array.from({ length: x.size }, (_, k) => (k * 7) % one.sample.inputs[i]!.integers!)
            : Float32Array.from({ length: x.size }, (_, k) => Math.sin(k + 10 * i) / 3),
        ]),
      );
      const w = Float32Array.from({ length: y.size }, (_, k) => Math.cos(k));
      const outputs = [y, ...vjp([y], [input("w", y.shape)], floats)];
      const { got, want } = await both(outputs, { ...feeds, w });
      expect(got[0]).toEqual(want[0]);
      for (const [k, dx] of got.entries()) expect(relativeError(dx, want[k]!)).toBeLessThan(tolerances.float16);
    },
  );
});

test("a halves' constant is rounded, and gradients that nothing reaches are zeros of its type", () => {
  expect(fill([], 0.1, "float16").attrs.value).toBe(roundToHalf(0.1));
  const half = input("x", [2]).cast("float16");
  expect(gradient(input("y", [1]), [half])[0]!.dtype).toBe("float16");
});

test("programs do not take or give halves", () => {
  expect(() => input("x", [2], "float16")).toThrow('input: "x" must be float32 or int32, but float16 came');
  expect(() => emitOnnx({ y: input("x", [2]).cast("float16") })).toThrow(
    'output "y": float32 or int32 is needed, but float16',
  );
});
