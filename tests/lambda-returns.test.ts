import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import type { Step } from "../src/diffusion/index.ts";
import type { Mixture } from "../src/models/mixture.ts";
import { asConstants } from "../src/nn/index.ts";
import { residualNablaDb } from "../src/objectives/index.ts";
import { referenceRuntime } from "../src/runtime/index.ts";
import { openChainSampler } from "../src/sample/chain-sampler.ts";
import { encodePrompts } from "../src/sample/conditions.ts";
import { lambdaReturns } from "../src/train/lambda-returns.ts";
import { compileReturns } from "../src/train/return-programs.ts";
import { stepReturns } from "../src/train/step-returns.ts";
import { bindParams, flowPrefix, graphOptions } from "../src/train/update-program.ts";
import { relativeError } from "./tolerances.ts";
import { tableOf, tabular } from "./worlds/tabular.ts";
import { partsOf, withObjective } from "./worlds/worlds.ts";

// Two prompts with their own mixture and reward; the adjoint is worked out by hand in float64, the Jacobian from the
// closed form of the mixture's Hessian.

const beta = 2;
const left = { center: [0.5, 0.25], tau: 0.75 };
const right = { center: [-1, 0], tau: 1.5 };
const world = {
  model: { kind: "gaussian-mixture" },
  sampler: { kind: "ddpm", steps: 6 },
  objective: { kind: "residual-nabla-db", beta },
  train: { updates: 1 },
  prompts: {
    left: {
      model: {
        means: [
          [1, 0.5],
          [-1, 0.25],
          [0, -1.25],
        ],
        stds: [0.25, 0.5, 0.375],
      },
      reward: { kind: "quadratic", ...left },
    },
    right: { model: { means: [[0.5, 1]], stds: 0.5 }, reward: { kind: "quadratic", ...right } },
  },
};
type Prompt = keyof typeof world.prompts;
const rewards = { left, right };

const parts = tabular(await partsOf(world));
const { chain, model } = parts;
const T = chain.T;
const prompts: Prompt[] = ["left", "right", "right", "left", "left"];
const flowOf = (prompt: Prompt, i: number) => (prompt === "left" ? [0.25 * i, -0.5] : [-1, 0.125 * i]);
const eachRow = (row: (prompt: Prompt, i: number) => number[]) =>
  tableOf((["left", "right"] as const).flatMap((prompt) => chain.steps.map(({ i }) => row(prompt, i))));
const flowTable = eachRow(flowOf);
const everyStep = prompts.flatMap((_, trajectory) => chain.steps.map(({ i }) => ({ trajectory, i })));
const block = 2; // five trajectories: the last block is padded

/** log-density derivatives of Σ w N(√ᾱ m, v I): gradient and Hessian, float64. */
function derivatives({ means, stds, weights }: Mixture, x: number[], alphaBar: number) {
  const terms = means.map((mean, k) => {
    const v = alphaBar * stds[k]! ** 2 + 1 - alphaBar;
    const pull = x.map((value, d) => -(value - Math.sqrt(alphaBar) * mean[d]!) / v);
    const square = pull.reduce((sum, p) => sum + (p * v) ** 2, 0);
    return { v, pull, density: (weights[k]! * Math.exp(-square / (2 * v))) / v };
  });
  const all = terms.reduce((sum, { density }) => sum + density, 0);
  const average = (of: (term: (typeof terms)[number]) => number) =>
    terms.reduce((sum, term) => sum + (term.density / all) * of(term), 0);
  const gradient = [0, 1].map((d) => average(({ pull }) => pull[d]!));
  const hessian = [0, 1].map((d) =>
    [0, 1].map(
      (e) => average(({ v, pull }) => pull[d]! * pull[e]! - (d === e ? 1 / v : 0)) - gradient[d]! * gradient[e]!,
    ),
  );
  return { gradient, hessian };
}

/** (X + OUT·J)ᵀ u with J = ∂ε_#/∂x = −√(1−ᾱ) ∇²log p, which is symmetric. */
function pull(step: Step, prompt: Prompt, x: number[], [along, out]: [number, number], u: number[]): number[] {
  const { hessian } = derivatives(model.prior![prompt]!, x, step.alphaBar);
  const scale = -out * Math.sqrt(1 - step.alphaBar);
  return [0, 1].map((d) => along * u[d]! + scale * (hessian[d]![0]! * u[0]! + hessian[d]![1]! * u[1]!));
}

const rewardSlope = (prompt: Prompt, x: number[]) =>
  x.map((value, d) => (-beta * (value - rewards[prompt].center[d]!)) / rewards[prompt].tau ** 2);

/** h_i(x) = ᾱ β (∂x̂/∂x)ᵀ∇r(x̂) + g_φ. */
function h(i: number, prompt: Prompt, x: number[]): number[] {
  const step = chain.steps[i]!;
  const eps = derivatives(model.prior![prompt]!, x, step.alphaBar).gradient.map(
    (g) => -Math.sqrt(1 - step.alphaBar) * g,
  );
  const x0Hat = x.map((value, d) => step.c1 * value + step.c2 * eps[d]!);
  const predicted = pull(step, prompt, x, [step.c1, step.c2], rewardSlope(prompt, x0Hat));
  return predicted.map((value, d) => step.alphaBar * value + flowOf(prompt, i)[d]!);
}

type Length = { lambda: number } | { steps: number };

/** λ-returns of all steps, or k-step returns of drawn ones. */
async function computed(length: Length, flow = flowTable, drawn = everyStep) {
  const runtime = referenceRuntime();
  // the value is the same for every k; one of 1 asks for no returns
  const own = withObjective(parts, residualNablaDb({ beta, ...("lambda" in length ? length : { steps: 2 }) }));
  const bound = bindParams(own, {}, flow);
  const conditions = await encodePrompts(runtime, model, prompts);
  const frozen = asConstants(model.weights);
  const sampler = await openChainSampler(runtime, { model, chain, guidance: 1, block, params: frozen });
  const trajectories = await sampler.sample({
    prompts,
    conditions,
    keepStates: true,
    noise: (out, offset, size, sample, step) =>
      new Rng(3).fillNormal(out, offset, size, { purpose: "test", sample, step }),
  });
  const programs = await compileReturns(runtime, graphOptions(own, bound, block));
  const trained = { [`${flowPrefix}table`]: Float32Array.from(flow.table!.data) };
  const stepOutputs = Object.keys(programs.step.outputs);
  const sources = { programs, parts: own, conditions, trajectories, trained };
  const returns =
    "lambda" in length ? await lambdaReturns(sources, length.lambda) : await stepReturns(sources, length.steps, drawn);
  return { trajectories, stepOutputs, ...returns };
}

describe("λ-returns along a sampled trajectory", () => {
  test.each([
    { lambda: 1, what: "the lean adjoint, A_i = J_#ᵀ A_{i+1} from β∇r(x_T)" },
    { lambda: 0.8, what: "A_i = (1−λ)h_i + λ J_#ᵀ A_{i+1}" },
    { lambda: 1e-6, what: "R_i = J_#ᵀ h_{i+1}, as at λ = 0" },
  ])("λ = $lambda: $what", async ({ lambda }) => {
    const { trajectories, next, pulledBack } = await computed({ lambda });
    const at = (j: number, i: number) => [...trajectories.states[i]!.subarray(2 * j, 2 * j + 2)];
    prompts.forEach((prompt, j) => {
      let adjoint = rewardSlope(prompt, at(j, T)); // A_T = h_T
      for (let i = T - 1; i >= 0; i--) {
        const step = chain.steps[i]!;
        if (lambda < 1e-3 && i < T - 1) {
          adjoint = h(i + 1, prompt, at(j, i + 1));
        }
        const back = pull(step, prompt, at(j, i), [step.d1, step.d2], adjoint);
        expect(relativeError(next[i]!.subarray(2 * j, 2 * j + 2), adjoint), `A_${i + 1}`).toBeLessThan(2e-5);
        expect(relativeError(pulledBack[i]!.subarray(2 * j, 2 * j + 2), back), `R_${i}`).toBeLessThan(2e-5);
        const value = h(i, prompt, at(j, i));
        adjoint = back.map((r, d) => (1 - lambda) * value[d]! + lambda * r);
      }
    });
  });

  test("λ = 1 does not depend on the flow network, λ = 0.8 does", async () => {
    const other = eachRow(() => [3, -3]);
    for (const [lambda, same] of [
      [1, true],
      [0.8, false],
    ] as const) {
      const [first, second] = [await computed({ lambda }), await computed({ lambda }, other)];
      expect(relativeError(first.pulledBack[0]!, second.pulledBack[0]!) === 0).toBe(same);
      expect(first.stepOutputs).toEqual(same ? ["pulledBack"] : ["pulledBack", "value"]); // no h is computed in vain
    }
  });
});

describe("k-step returns along a sampled trajectory", () => {
  test.each([1, 2, 4, T - 1, T, T + 3])("k = %i: h at x_{i+k}, or β∇r at x_T, carried back", async (steps) => {
    const { trajectories, next, pulledBack } = await computed({ steps });
    const at = (j: number, i: number) => [...trajectories.states[i]!.subarray(2 * j, 2 * j + 2)];
    prompts.forEach((prompt, j) => {
      for (let i = 0; i < T; i++) {
        const end = Math.min(i + steps, T);
        let adjoint = end === T ? rewardSlope(prompt, at(j, T)) : h(end, prompt, at(j, end));
        for (let m = end - 1; m >= i; m--) {
          if (m === i) {
            expect(relativeError(next[i]!.subarray(2 * j, 2 * j + 2), adjoint), `A_${i + 1}`).toBeLessThan(2e-5);
          }
          const step = chain.steps[m]!;
          adjoint = pull(step, prompt, at(j, m), [step.d1, step.d2], adjoint);
        }
        expect(relativeError(pulledBack[i]!.subarray(2 * j, 2 * j + 2), adjoint), `R_${i}`).toBeLessThan(2e-5);
      }
    });
  });

  test("k ≥ T is λ = 1, k = 1 nearly λ = 0", async () => {
    for (const [steps, lambda, within] of [
      [T, 1, 1e-6],
      [T + 1, 1, 1e-6],
      [1, 1e-7, 1e-5],
    ] as const) {
      const [stepwise, mixed] = [await computed({ steps }), await computed({ lambda })];
      for (const { i } of chain.steps) {
        expect(relativeError(stepwise.next[i]!, mixed.next[i]!)).toBeLessThan(within);
        expect(relativeError(stepwise.pulledBack[i]!, mixed.pulledBack[i]!)).toBeLessThan(within);
      }
    }
  });

  test("drawn transitions alone are computed, whatever blocks they fall in", async () => {
    const drawn = [
      { trajectory: 4, i: 5 },
      { trajectory: 0, i: 2 },
      { trajectory: 4, i: 5 }, // a stratum may draw the last step again
      { trajectory: 3, i: 0 },
    ];
    const all = await computed({ steps: 3 });
    const some = await computed({ steps: 3 }, flowTable, drawn);
    for (const { trajectory } of everyStep) {
      for (const { i } of chain.steps) {
        const own = (returns: typeof all) => [...returns.pulledBack[i]!.subarray(2 * trajectory, 2 * trajectory + 2)];
        const isDrawn = drawn.some((t) => t.trajectory === trajectory && t.i === i);
        expect(own(some)).toEqual(isDrawn ? own(all) : [0, 0]);
      }
    }
  });
});
