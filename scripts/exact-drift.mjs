// What an exact world leaves to learn when nothing has to be estimated: trains Δ_θ(x_i) on the exact h(x_{i+1}) in place of a
// learned or sampled one, with the network, the optimizer and the updates of a run. Where this comes near the target and an
// objective does not, its targets are to blame; where this does not either, the number of steps or the network may be: a learned h
// can serve few steps better than this one, which is exact in continuous time.
//   npm run build && node scripts/exact-drift.mjs configs/worlds/mixture-reward.yaml train.updates=3000 sampler.steps=50
// h = ∇ log p*_t − ∇ log p_t, of the noised target and prior; at x_T it is β ∇r. Prints measures of
// 10,000 samples beside those of the tilted sampler. Worlds of one prompt that predict ε or a velocity, whose target is a mixture.

import { z } from "zod";
import { exactOfRun } from "../dist/evaluate/exact-of-run.js";
import { measuredBeta } from "../dist/evaluate/path-summary.js";
import { tilted } from "../dist/models/exact-target.js";
import { gaussianMixture } from "../dist/models/gaussian-mixture.js";
import { asConstants } from "../dist/nn/index.js";
import { defineObjective } from "../dist/objectives/objective.js";
import { weightedSquare } from "../dist/objectives/weighted-residual.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { constant } from "../dist/tensor/index.js";
import { readConfig } from "../dist/train/config.js";
import { finetuneLoop, unrecorded } from "../dist/train/finetune-loop.js";
import { prepare, rewardsByPrompt } from "../dist/train/prepare.js";

const [path, ...set] = process.argv.slice(2);
if (!path) throw new Error("give the YAML file of a world");
const config = await readConfig(path, { set });
const parts = await prepare(config);
const { prediction, prior } = parts.model;
const [[prompt, mixture], ...others] = Object.entries(prior);
if (others.length > 0 || !["epsilon", "velocity"].includes(prediction)) {
  throw new Error("give a world of one prompt that predicts epsilon or velocity");
}
const beta = measuredBeta(config);
const target = tilted(mixture, (await rewardsByPrompt(config))[prompt], beta);
if (!target) throw new Error("the target of this world is no mixture");
const worlds = {
  prior: gaussianMixture({ prediction, ...mixture }),
  target: gaussianMixture({ prediction, ...target }),
};

/** ε at x [B, D] and ᾱ [B] (flows: (1−t)²) as a world predicts it, and the noise in x, [B, 1]. */
function noiseOf(model, x, alphaBar) {
  const params = asConstants(model.weights);
  const tokens = constant(new Int32Array(x.shape[0]), [x.shape[0], 1]);
  const time = { t: alphaBar, alphaBar, progress: alphaBar };
  const out = model.predict(params, x, time, model.encode(params, tokens));
  const power = alphaBar.reshape([-1, 1]);
  if (prediction === "epsilon") return { eps: out, noise: power.neg().add(1).sqrt() };
  return { eps: x.add(out.mul(power.sqrt())), noise: power.sqrt().neg().add(1) };
}

const exactDrift = defineObjective({
  kind: "exact-drift",
  paper: "liu2025nabla",
  aim: "tilted-prior",
  summary: "regression on the exact h",
  options: z.strictObject({}),
  transitions: "strata",
  needs: () => ["reference", "reward-gradient"],
  evaluations: ({ T, transitions }) => ({ perRollout: T, perUpdate: 2 * transitions }),
  losses({ delta, sigma, next }) {
    const alphaBar = next.signal
      .square()
      .minimum(1 - 1e-6)
      .reshape([-1]); // 1 at x_T, where β ∇r stands
    const [before, after] = [worlds.prior, worlds.target].map((model) => noiseOf(model, next.x, alphaBar));
    const h = before.eps.sub(after.eps).div(before.noise).mul(next.inside);
    const atEnd = next.rewardGradient(next.x).mul(beta).mul(next.inside.neg().add(1));
    return { policy: { drift: weightedSquare(delta.sub(h.add(atEnd).stopGradient()), sigma, "sigma") } };
  },
});

const runtime = nodeRuntime({ threads: 1 });
const run = finetuneLoop({ config, parts: { ...parts, objective: exactDrift({}) }, runtime }, unrecorded);
let step = await run.next();
while (!step.done) step = await run.next();
const { imagesPerPrompt: samples, seed } = config.evaluate;
const { summary } = await exactOfRun(runtime, parts, config, step.value.policy, { samples, seed });
const shown = ({ meanReward, modeTV, energyDistance, withinStdRatio }) =>
  [meanReward, modeTV, energyDistance, withinStdRatio].map((value) => value.toFixed(4)).join("  ");
console.log(`${path} ${set.join(" ")}: mean reward, mode TV, energy distance, width`);
console.log(`exact h         ${shown(summary)}`);
console.log(`tilted sampler  ${shown(summary.floor)}`);
console.log(`target          ${shown(summary.target)}`);
