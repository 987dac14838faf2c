import { expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { gaussian, hostGaussian } from "../src/diffusion/index.ts";
import { evaluate, input, type Tensor, vjp } from "../src/tensor/index.ts";

const B = 3;
const D = 4;
const draw = (step: number) => new Rng(7).normal(B * D, { purpose: "test", step });
const feeds = { x: draw(0), xNext: draw(1), std: [0.4, 0.9, 1.6], z: draw(2) };
const x = input("x", [B, D]);
const xNext = input("xNext", [B, D]);
const std = input("std", [B, 1]);
const mean: Tensor = x.tanh().mul(1.3).add(x.square().mul(0.2)); // any network

const run = (y: Tensor) => evaluate([y], feeds)[0]!;
function expectClose(given: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-10) {
  expect(given.length).toBe(wanted.length);
  for (let k = 0; k < wanted.length; k++) expect(Math.abs(given[k]! - wanted[k]!)).toBeLessThan(tolerance);
}

test("log-probability is that of independent normals", () => {
  const means = run(mean);
  const wanted = feeds.std.map((sigma, b) => {
    let total = 0;
    for (let d = 0; d < D; d++) {
      const residual = feeds.xNext[b * D + d]! - means[b * D + d]!;
      total += Math.log(Math.exp(-(residual ** 2) / (2 * sigma ** 2)) / (sigma * Math.sqrt(2 * Math.PI)));
    }
    return total;
  });
  expectClose(run(gaussian.logProb(xNext, mean, std)), wanted);
  expectClose(
    run(gaussian.meanLogProb(xNext, mean, std)),
    wanted.map((value) => value / D),
  );
  const numberStd = run(gaussian.logProb(xNext, mean, 0.7));
  expectClose(numberStd, hostGaussian.logProb(feeds.xNext, means, 0.7, B));
  expectClose(
    hostGaussian.meanLogProb(feeds.xNext, means, 0.7, B),
    numberStd.map((value) => value / D),
  );
});

test("both scores are the gradients of the log-probability", () => {
  const total = gaussian.logProb(xNext, mean, std).sum();
  const [byX, byXNext] = vjp([total], [total.mul(0).add(1)], [x, xNext]) as [Tensor, Tensor];
  expectClose(run(gaussian.scoreNext(xNext, mean, std)), run(byXNext));
  expectClose(run(gaussian.scoreCurrent(x, xNext, mean, std)), run(byX));
});

test("on its own samples the score of the next state is −z/std", () => {
  const next = gaussian.sample(mean, std, input("z", [B, D]));
  const score = run(gaussian.scoreNext(next, mean, std));
  expectClose(
    score,
    feeds.z.map((z, k) => -z / feeds.std[Math.floor(k / D)]!),
    1e-6,
  );
});

test("host functions agree with the graph", () => {
  const means = run(mean);
  expectClose(hostGaussian.sample(means, 0.7, feeds.z), run(gaussian.sample(mean, 0.7, input("z", [B, D]))));
  expectClose(
    hostGaussian.scoreNext(Float64Array.from(feeds.xNext), means, 0.7),
    run(gaussian.scoreNext(xNext, mean, 0.7)),
  );
  const reference = means.map((value) => value * 0.9 + 0.1);
  const [p, q] = [means, reference].map((m) => hostGaussian.logProb(feeds.xNext, m, 0.7, B)) as [
    Float64Array,
    Float64Array,
  ];
  expectClose(
    hostGaussian.logRatio(feeds.xNext, means, reference, 0.7, B),
    p.map((value, b) => value - q[b]!),
  );
});
