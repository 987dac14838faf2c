import { expect, test } from "vitest";
import { ShapeError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import { type ExactReward, rewardAt } from "../src/models/exact-target.ts";
import { mixtureOf } from "../src/models/mixture.ts";
import { linear, mixtureLogDensity, quadratic, type RewardKind } from "../src/rewards/index.ts";
import { evaluate, fill, gradient, input, type Tensor } from "../src/tensor/index.ts";

const B = 6;
const mixture = {
  means: [
    [-1, 0.4, 0],
    [0.8, 1, -1],
  ],
  stds: [0.5, 0.3],
  weights: [1, 3],
};
const cases: readonly { kind: RewardKind; options: object; exact: ExactReward }[] = [
  {
    kind: quadratic,
    options: { center: [0.1, -0.4, 0.7], tau: 0.8 },
    exact: { kind: "quadratic", center: [0.1, -0.4, 0.7], tau: 0.8 },
  },
  { kind: linear, options: { k: [1, -2, 0.5] }, exact: { kind: "linear", k: [1, -2, 0.5] } },
  { kind: mixtureLogDensity, options: mixture, exact: { kind: "mixture-log-density", mixture: mixtureOf(mixture) } },
];

test.each(cases.map((c) => [c.exact.kind, c] as const))(
  "%s: values are those of the exact reward and gradients those of its differences",
  async (_, { kind, options, exact }) => {
    const reward = await kind(options).load();
    if (!reward.differentiable) throw new Error("must be differentiable");
    const points = new Rng(4).normal(B * 3, { purpose: "test" });
    const images = input("images", [B, 3]);
    const score = reward.score({ images, prompts: fill([B, 1], 0) });
    expect(score.shape).toEqual([B]);
    const [values, slopes] = evaluate([score, gradient(score.sum(), [images])[0] as Tensor], { images: points });
    const h = 1e-5;
    for (let b = 0; b < B; b++) {
      const x = [...points.subarray(3 * b, 3 * b + 3)];
      const at = (d: number, step: number) =>
        rewardAt(
          x.map((v, e) => (e === d ? v + step : v)),
          exact,
        );
      expect(Math.abs(values![b]! - at(0, 0))).toBeLessThan(1e-5 * (1 + Math.abs(at(0, 0)))); // constants are float32
      for (let d = 0; d < 3; d++) {
        const slope = (at(d, h) - at(d, -h)) / (2 * h);
        expect(Math.abs(slopes![3 * b + d]! - slope)).toBeLessThan(1e-4 * (1 + Math.abs(slope)));
      }
    }
  },
);

test.each(cases.map((c) => [c.exact.kind, c] as const))("%s refuses points of another dimension", async (_, c) => {
  const reward = await c.kind(c.options).load();
  if (!reward.differentiable) throw new Error("must be differentiable");
  expect(() => reward.score({ images: input("images", [B, 2]), prompts: fill([B, 1], 0) })).toThrow(ShapeError);
});
