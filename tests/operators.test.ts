import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeRuntime } from "../src/runtime/node.ts";
import { apply, evaluate, gradient, input, type OperatorSample, operators, type Tensor } from "../src/tensor/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";

/** A small deterministic generator for test values (not the product's). */
function values(seed: number, sample: OperatorSample["inputs"][number]): Float64Array {
  const n = sample.shape.reduce((p, d) => p * d, 1);
  const { low = -2, high = 2, avoid = 0, integers, spaced } = sample;
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  if (spaced !== undefined) {
    const order = Array.from({ length: n }, (_, k) => ({ k, u: uniform() })).sort((p, q) => p.u - q.u);
    return Float64Array.from(order, ({ k }) => low + k * spaced);
  }
  return Float64Array.from({ length: n }, () => {
    const u = uniform();
    if (integers !== undefined) return Math.floor(u * integers);
    const value = low + u * (high - low);
    return Math.abs(value) < avoid ? value + 2 * avoid : value;
  });
}

interface Case {
  xs: Tensor[];
  y: Tensor;
  feeds: Record<string, Float64Array>;
  floatInputs: Tensor[];
}
function build(name: string, sample: OperatorSample, seed: number): Case {
  const xs = sample.inputs.map((x, i) => input(`x${i}`, x.shape, x.integers === undefined ? "float32" : "int32"));
  const feeds = Object.fromEntries(sample.inputs.map((x, i) => [`x${i}`, values(seed + i, x)]));
  return { xs, y: apply(name, xs, sample.attrs), feeds, floatInputs: xs.filter((x) => x.dtype === "float32") };
}

/** A scalar that weights every element differently. */
const probe = (y: Tensor, k = 1): Tensor => {
  const w = input(`w${k}`, y.shape);
  return y.cast("float32").mul(w).sum();
};
const withProbes = (feeds: Record<string, Float64Array>, ...ys: Tensor[]) => ({
  ...feeds,
  ...Object.fromEntries(ys.map((y, i) => [`w${i + 1}`, values(99 + i, { shape: y.shape })])),
});

/** Central difference of a scalar graph along a direction over all float inputs. */
function directional(
  loss: Tensor,
  xs: readonly Tensor[],
  feeds: Record<string, Float64Array>,
  along: Float64Array[],
): number {
  const h = 1e-4;
  const at = (sign: number) => {
    const moved = { ...feeds };
    xs.forEach((x, k) => {
      const name = x.attrs.name as string;
      moved[name] = feeds[name]!.map((v, i) => v + sign * h * along[k]![i]!);
    });
    return evaluate([loss], moved)[0]![0]!;
  };
  return (at(1) - at(-1)) / (2 * h);
}

const dot = (a: Float64Array[], b: Float64Array[]) =>
  a.reduce((sum, x, k) => sum + x.reduce((s, v, i) => s + v * b[k]![i]!, 0), 0);

const tested = operators().filter((op) => op.samples().length > 0);
const sources = new Set(["input", "constant", "fill", "stopGradient", "checkpoint"]);

test("every computing operator states samples", () => {
  expect(operators().filter((op) => op.samples().length === 0 && !sources.has(op.name))).toEqual([]);
});

describe.each(tested.map((op) => [op.name, op] as const))("%s", (name, op) => {
  test("derivative and second derivative agree with central differences of the reference", () => {
    const withFloats = op
      .samples()
      .filter(({ inputs, rounds }) => !rounds && inputs.some(({ integers }) => integers === undefined));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1 << 30 }), fc.constantFrom(...withFloats), (seed, sample) => {
        const { y, feeds, floatInputs } = build(name, sample, seed);
        const loss = probe(y);
        const all = withProbes(feeds, y);
        const along = floatInputs.map((x, k) => values(seed + 7 + k, { shape: x.shape, low: -1, high: 1 }));
        const grads = gradient(loss, floatInputs);
        const analytic = dot(evaluate(grads, all), along);
        expect(relativeError([analytic], [directional(loss, floatInputs, all, along)])).toBeLessThan(
          tolerances.gradient,
        );

        const second = grads.map((g, k) => g.mul(input(`w${k + 2}`, g.shape)).sum()).reduce((p, q) => p.add(q));
        const feeds2 = withProbes(feeds, y, ...grads);
        const analytic2 = dot(evaluate(gradient(second, floatInputs), feeds2), along);
        const numeric2 = directional(second, floatInputs, feeds2, along);
        expect(relativeError([analytic2], [numeric2])).toBeLessThan(tolerances.secondOrder);
      }),
      { numRuns: 12 },
    );
  });

  test("ONNX Runtime agrees with the reference, value and gradient", async () => {
    const runtime = nodeRuntime({ threads: 1 });
    for (const [k, sample] of op.samples().entries()) {
      const { y, feeds, floatInputs } = build(name, sample, 11 + k);
      const outputs = [y.cast("float32"), ...gradient(probe(y), floatInputs)];
      const program = await runtime.compile(Object.fromEntries(outputs.map((t, i) => [`y${i}`, t])));
      const all = withProbes(feeds, y);
      const feeds32 = Object.fromEntries(
        Object.entries(program.inputs).map(([n, { dtype }]) => [
          n,
          dtype === "int32" ? Int32Array.from(all[n]!) : Float32Array.from(all[n]!),
        ]),
      );
      const rounded = Object.fromEntries(Object.entries(all).map(([n, v]) => [n, Float64Array.from(feeds32[n] ?? v)]));
      const got = await program.run(feeds32);
      evaluate(outputs, rounded).forEach((want, i) => {
        expect(got[`y${i}`]!.length).toBe(want.length);
        expect(relativeError(got[`y${i}`]!, want)).toBeLessThan(tolerances.float32);
      });
      await program.release();
    }
  });
});
