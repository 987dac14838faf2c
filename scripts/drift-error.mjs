// How wrong a finished run is about h, step by step: its flow network's h and its policy's Δ beside the exact h = ∇ log p*_t − ∇ log p_t
// of the noised target and prior, at the states that the policy visits. Errors of early steps decide between modes far apart.
//   npm run build && node scripts/drift-error.mjs RUN…
// Prints, for each eighth of the chain, the root mean square of the exact h, and of both errors as multiples of it. The exact h is
// that of continuous time: a step that is not small has another, so that an error of 0 is not to be had. Runs of a world of one prompt
// whose target is a mixture, with a flow network.

import { openFlowGradient } from "../dist/evaluate/flow-gradient.js";
import { halfStepsOf } from "../dist/evaluate/half-steps.js";
import { openModel } from "../dist/evaluate/open-model.js";
import { measuredBeta } from "../dist/evaluate/path-summary.js";
import { samplePolicy } from "../dist/evaluate/sample-policy.js";
import { tilted } from "../dist/models/exact-target.js";
import { componentLogDensities, logSumExp } from "../dist/models/mixture.js";
import { asConstants } from "../dist/nn/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { encodePrompts } from "../dist/sample/conditions.js";
import { prepare, rewardsByPrompt } from "../dist/train/prepare.js";

const BLOCK = 500;
const SAMPLES = 2000;
const PARTS = 8;

const runs = process.argv.slice(2);
if (runs.length === 0) throw new Error("give the folder of a run, or several");
const runtime = nodeRuntime({ threads: 1 });
for (const run of runs) await show(run);

async function show(run) {
  const opened = await openModel(run);
  const { config, policy } = opened;
  const parts = await prepare(config);
  const [[prompt, prior], ...others] = Object.entries(parts.model.prior ?? {});
  const target = others.length === 0 && tilted(prior, (await rewardsByPrompt(config))[prompt], measuredBeta(config));
  if (!target) throw new Error(`${run} is no world of one prompt whose target is a mixture`);

  const prompts = Array(BLOCK).fill(prompt);
  const frozen = asConstants(parts.model.weights);
  const params = { frozen, policy: parts.adaptation.bind(frozen, asConstants(policy)) };
  const conditions = await encodePrompts(runtime, parts.model, prompts, parts.guidance);
  const halfSteps = await halfStepsOf(run, opened, undefined);
  const flow = await openFlowGradient(runtime, parts, halfSteps, { params, conditions, block: BLOCK });

  const steps = [];
  await samplePolicy(runtime, parts, policy, {
    prompts: Array(SAMPLES).fill(prompt),
    seed: config.evaluate.seed,
    purpose: "evaluation",
    block: BLOCK,
    watch: ({ i, x, out, reference }) =>
      steps.push({ i, x: x.slice(), out: out.slice(), reference: reference.slice() }),
  });

  const { T, levels } = parts.chain;
  const sums = Array.from({ length: PARTS }, () => ({ exact: 0, flow: 0, policy: 0, count: 0 }));
  for (const { i, x, out, reference } of steps) {
    const [before, after] = [prior, target].map((mixture) => scores(noised(mixture, levels[i]), x));
    const { d2, sigma } = parts.chain.steps[i];
    const h = await flow.at(i, x, prompts);
    const sum = sums[Math.floor((i * PARTS) / T)];
    for (let k = 0; k < x.length; k++) {
      const exact = after[k] - before[k];
      sum.exact += exact ** 2;
      sum.flow += (h[k] - exact) ** 2;
      sum.policy += ((d2 * (out[k] - reference[k])) / sigma ** 2 - exact) ** 2;
    }
    sum.count += x.length;
  }
  await flow.release();
  console.log(`${run}: steps, exact h, error of the flow network / of the policy`);
  for (const [part, sum] of sums.entries()) {
    const [first, last] = [Math.ceil((part * T) / PARTS), Math.ceil(((part + 1) * T) / PARTS) - 1];
    const relative = (error) => Math.sqrt(error / sum.exact).toFixed(2);
    const size = Math.sqrt(sum.exact / sum.count).toFixed(3);
    console.log(`  ${first}–${last}  ${size}  ${relative(sum.flow)} / ${relative(sum.policy)}`);
  }
}

/** The law of √ᾱ x + noise·z. */
function noised({ means, stds, weights }, { alphaBar, noise }) {
  return {
    means: means.map((mean) => mean.map((value) => Math.sqrt(alphaBar) * value)),
    stds: stds.map((std) => Math.sqrt(alphaBar * std ** 2 + noise ** 2)),
    weights,
  };
}

/** ∇ log density at points x [B, D]. */
function scores(mixture, x) {
  const D = mixture.means[0].length;
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += D) {
    const point = x.subarray(start, start + D);
    const logits = componentLogDensities(mixture, point);
    const total = logSumExp(logits);
    for (const [k, mean] of mixture.means.entries()) {
      const share = Math.exp(logits[k] - total) / mixture.stds[k] ** 2;
      for (let d = 0; d < D; d++) out[start + d] += share * (mean[d] - point[d]);
    }
  }
  return out;
}
