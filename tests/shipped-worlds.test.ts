import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { effectiveSampleSize, leastEss, normalizedWeights } from "../src/core/importance.ts";
import { packagePath } from "../src/core/package-root.ts";
import { Rng } from "../src/core/rng.ts";
import { exactOfRun } from "../src/evaluate/exact-of-run.ts";
import { measuredBeta } from "../src/evaluate/path-summary.ts";
import { modesOf } from "../src/evaluate/target-modes.ts";
import { modeTv } from "../src/metrics/index.ts";
import { exactTarget, rewardAt } from "../src/models/exact-target.ts";
import { sampleMixture } from "../src/models/mixture.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { readConfig } from "../src/train/config.ts";
import { prepare, rewardsByPrompt } from "../src/train/prepare.ts";

const folder = packagePath("configs/worlds");
const names = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
const n = 6000;

describe.each(names)("%s", (name) => {
  test("says what it tests and how its target is known, and fits its own method", async () => {
    const text = readFileSync(join(folder, name), "utf8");
    const header = text.slice(0, text.indexOf("model:"));
    expect(header).toMatch(/closed form|known exactly/);
    expect(header).toContain(`#   nabla train configs/worlds/${name} --out runs/${name.replace(".yaml", "")}`);
    await expect(prepare(await readConfig(`configs/worlds/${name}`))).resolves.toBeDefined();
  });

  test("weights of exact draws of the prior give the target's mean reward and modes, and do not collapse", async () => {
    const config = await readConfig(`configs/worlds/${name}`);
    const { model } = await prepare(config);
    const rewards = await rewardsByPrompt(config);
    const beta = measuredBeta(config)!;
    for (const [prompt, prior] of Object.entries(model.prior!)) {
      const reward = rewards[prompt]!;
      const rng = new Rng(4);
      const target = exactTarget(prior, reward, beta, n, rng, { purpose: "reference" });
      const D = prior.means[0]!.length;
      const draws = sampleMixture(prior, 10 * n, rng, { purpose: "test" });
      const r = Float64Array.from({ length: 10 * n }, (_, j) => rewardAt(draws.subarray(j * D, (j + 1) * D), reward));
      const logWeights = r.map((value) => beta * value);
      const ess = effectiveSampleSize(logWeights);
      expect(ess / 10, prompt).toBeGreaterThan(leastEss); // of n samples
      const weights = normalizedWeights(logWeights);
      const mean = weights.reduce((sum, w, j) => sum + w * r[j]!, 0);
      const variance = weights.reduce((sum, w, j) => sum + w * (r[j]! - mean) ** 2, 0);
      // exact for quadratic and linear rewards, else the mean of n samples
      const error = Math.sqrt(variance / ess) + Math.sqrt(variance / n);
      expect(Math.abs(mean - target.meanReward), prompt).toBeLessThan(3 * error);
      const modes = modesOf(target, prior, rng);
      expect(modeTv(target.samples, modes.centers, modes.weights).value, prompt).toBeLessThan(0.03);
    }
  });
});

test.each([
  ["flow-ring8", "sampler.noise=0", /step with σ = 0.*sampler\.noise/],
  ["flow-ring8", "sampler={kind: ddpm}", /predicts velocity\. Use flow/],
  ["ring8", "sampler={kind: flow}", /predicts epsilon\. Use ddpm/],
  ["flow-a07", "objective={kind: residual-nabla-db}", /forgets its start/],
  ["ring8", "sampler={kind: ddim, eta: 0}", /step with σ = 0/],
] as const)("%s with %s is refused before anything is trained", async (world, set, message) => {
  await expect(
    readConfig(`configs/worlds/${world}.yaml`, { set: [set] }).then((config) => prepare(config)),
  ).rejects.toThrow(message);
});

test("a chain without noise is compared with the target as others are; its paths have no density, and no measures", async () => {
  const config = await readConfig("configs/worlds/flow-ode.yaml");
  const parts = await prepare(config);
  const untrained = parts.adaptation.init(new Rng(0));
  const found = await exactOfRun(nodeRuntime({ threads: 1 }), parts, config, untrained, { samples: n, seed: 3 });
  const { elbo, importanceEss, pathKl, pretrained, target, floor, ...finetuned } = found!.summary;
  expect([elbo, importanceEss, pathKl]).toEqual([undefined, undefined, undefined]);
  expect(finetuned).toEqual(pretrained); // the policy is the pretrained model still, with the same noise
  expect(floor).toMatchObject({ method: "importance" });
  expect(floor.energyDistance).toBeLessThan(0.02);
  expect(pretrained.energyDistance).toBeGreaterThan(0.5);
  expect(Math.abs(floor.meanReward - target.meanReward)).toBeLessThan(0.1);
});

test("an objective that aims at exp(β r) is compared with that law as well, others are not", async () => {
  const measured = async (set: string[]) => {
    const config = await readConfig("configs/worlds/ring8.yaml", { set });
    const parts = await prepare(config);
    const untrained = parts.adaptation.init(new Rng(0));
    const found = await exactOfRun(nodeRuntime({ threads: 1 }), parts, config, untrained, { samples: n, seed: 3 });
    return found!.summary;
  };
  const { rewardAlone, energyDistance } = await measured(["objective={kind: nabla-db}"]);
  expect(rewardAlone!.meanReward).toBeCloseTo(-1, 12); // −D/2β, where p_pre exp(β r) has −0.73
  expect(rewardAlone!.energyDistance).toBeGreaterThan(0.2);
  expect(Math.abs(rewardAlone!.energyDistance - energyDistance)).toBeGreaterThan(0.05);
  expect(await measured([])).not.toHaveProperty("rewardAlone");
});
