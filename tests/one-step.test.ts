import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { gaussian } from "../src/diffusion/index.ts";
import { logDensity, mixtureOf } from "../src/models/mixture.ts";
import { AdamW } from "../src/optim/index.ts";
import { mixtureLogDensity } from "../src/rewards/mixture-log-density.ts";
import { evaluate, gradient, input, type Tensor } from "../src/tensor/index.ts";

// docs/methods.md E.4: one Gaussian N(m, s²), both trained, and a reward with two peaks; no chain and no prior.
const peaks = { means: [[1.2], [-1.6]], stds: [0.8, 0.4], weights: [0.5, 0.5] };
const n = 256;

/** Trains m and log s on the loss of m, s, points x = m + s z, r(x) and ∇r(x), which are functions of m and s until stopped. */
async function trained(
  start: number,
  updates: number,
  loss: (parts: Record<"x" | "m" | "s" | "r" | "slope", Tensor>) => Tensor,
) {
  const reward = await mixtureLogDensity(peaks).load();
  if (!reward.differentiable) throw new Error("a log density is a graph");
  const [m, logS, z] = [input("m", [1, 1]), input("logS", [1, 1]), input("z", [n, 1])];
  const s = logS.exp();
  const x = gaussian.sample(m, s, z);
  const r = reward.score({ images: x, prompts: z });
  const slope = gradient(r.sum(), [x])[0]!;
  const slopes = gradient(loss({ x, m, s, r, slope }), [m, logS]);
  const params = {
    m: { shape: [1, 1], data: Float32Array.of(start) },
    logS: { shape: [1, 1], data: Float32Array.of(0) },
  };
  const adam = new AdamW();
  for (let update = 0; update < updates; update++) {
    const noise = new Rng(1).normal(n, { purpose: "test", step: update });
    const [dm, ds] = evaluate(slopes, { m: params.m.data, logS: params.logS.data, z: noise });
    const of = (data: Float64Array) => ({ shape: [1, 1], data: Float32Array.from(data) });
    adam.step(params, { m: of(dm!), logS: of(ds!) }, update < 0.7 * updates ? 0.02 : 0.002);
  }
  return { m: params.m.data[0]!, s: Math.exp(params.logS.data[0]!) };
}

/** ∫ min(p, q) of N(m, s²) and the normalised reward. */
function overlap({ m, s }: { m: number; s: number }): number {
  const policy = mixtureOf({ means: [[m]], stds: s });
  const target = mixtureOf(peaks);
  let sum = 0;
  for (let x = -8; x < 8; x += 0.01) {
    sum += 0.01 * Math.exp(Math.min(logDensity(policy, [x]), logDensity(target, [x])));
  }
  return sum;
}

describe("one Gaussian and a reward with two peaks", () => {
  const starts = [-1, 0, 1]; // with s = 1; one that begins inside a peak, m = -1.5, stays there

  test("the squared difference of scores at stopped samples ends at one place that covers both, from every start", async () => {
    for (const start of starts) {
      const { m, s } = await trained(start, 500, ({ x, m: mean, s: std, slope }) =>
        gaussian.scoreNext(x.stopGradient(), mean, std).sub(slope.stopGradient()).square().mean(),
      );
      expect(Math.abs(m - 0.318)).toBeLessThan(0.06);
      expect(Math.abs(s - 1.365)).toBeLessThan(0.06);
      expect(Math.abs(overlap({ m, s }) - 0.663)).toBeLessThan(0.02);
    }
  });

  test("the mean reward through the samples ends in a point, in which peak depends on the start", async () => {
    const [left, , right] = await Promise.all(starts.map((start) => trained(start, 500, ({ r }) => r.mean().mul(-1))));
    expect(Math.abs(left!.m + 1.6)).toBeLessThan(0.05);
    expect(Math.abs(right!.m - 1.2)).toBeLessThan(0.05);
    for (const end of [left!, right!]) {
      expect(end.s).toBeLessThan(0.15); // and still shrinking
      expect(overlap(end)).toBeLessThan(0.3);
    }
  });
});
