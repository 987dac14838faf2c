import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import type { Rng } from "../core/rng.ts";
import { initialize, type Params } from "../nn/params.ts";
import { constant, gather, type Tensor } from "../tensor/index.ts";
import { defineModel } from "./kind.ts";
import { checkMixture, componentLogits, dimensionOf, type Mixture, mixtureFields, mixtureOf } from "./mixture.ts";
import type { Adaptation, Condition, Model, Time } from "./model.ts";
import { hasTemperedBase, temperedBase } from "./tempered-base.ts";
import { timeMlp, timeMlpSpecs } from "./time-mlp.ts";

const promptFields = z.strictObject(mixtureFields).superRefine(checkMixture);

/** One mixture for the prompt "", or one for each of several prompts. */
export const gaussianMixtureOptions = z
  .strictObject({
    prediction: z
      .enum(["epsilon", "v_prediction", "sample", "velocity"])
      .default("epsilon")
      .describe("what the network predicts; velocity: that of rectified flow, for the sampler flow"),
    means: mixtureFields.means.optional(),
    stds: mixtureFields.stds.optional(),
    weights: mixtureFields.weights,
    prompts: z.record(z.string(), promptFields).optional(),
  })
  .superRefine(({ means, stds, weights, prompts }, context) => {
    const problem = (message: string) => context.addIssue({ code: "custom", message, input: { means, stds, prompts } });
    if (prompts && (means || stds || weights)) problem("give means and stds, or prompts that have their own, not both");
    else if (prompts && Object.keys(prompts).length === 0) problem("prompts needs at least one prompt");
    else if (prompts) {
      const sizes = Object.values(prompts).map((mixture) => mixture.means[0]?.length);
      if (new Set(sizes).size > 1) problem(`all prompts need means of one dimension, but ${sizes.join(", ")} came`);
    } else if (means && stds !== undefined) checkMixture({ means, stds, weights }, context);
    else problem("means and stds are needed, or prompts that have their own");
  });

/** The mixture of each prompt, in the order of token ids. Throws a ZodError for options that do not fit. */
export function mixturesOf(options: z.input<typeof gaussianMixtureOptions>): Readonly<Record<string, Mixture>> {
  const { means, stds, weights, prompts } = gaussianMixtureOptions.parse(options);
  const given = prompts ?? { "": { means: means!, stds: stds!, weights } };
  return Object.fromEntries(Object.entries(given).map(([prompt, mixture]) => [prompt, mixtureOf(mixture)]));
}

const PADDING_LOG_WEIGHT = -1e9; // of components that a prompt lacks: exp gives 0, and −Infinity would give NaN

/**
 * An exact world: data are a Gaussian mixture per prompt, and the pretrained network is their exact prediction: of the
 * noise ε, of the clean sample x̂ = E[x_data | x], or of a combination of both. Finetuning adds a small network to it that starts at zero; there are no modules to choose, so finetune options have
 * no effect. Weights: `means` [P, K, D], `stds` [P, K], `log_weights` [P, K] for P prompts.
 */
export function gaussianMixture(options: z.input<typeof gaussianMixtureOptions>): Model {
  const mixtures = mixturesOf(options);
  const prediction = options.prediction ?? "epsilon";
  const prompts = Object.keys(mixtures);
  const P = prompts.length;
  const D = dimensionOf(mixtures[prompts[0]!]!);
  const weights = tables(Object.values(mixtures));
  const K = weights.means!.shape[1]!;
  const features = P > 1 ? P : 0; // the one-hot prompt, where it tells something
  const promptOf = (condition: Condition) => (features > 0 ? condition.prompt : undefined);
  const adaptation: Adaptation = {
    init: (rng) => initialize(timeMlpSpecs(D, features, POLICY), rng),
    bind: (frozen, trained) => ({ ...frozen, ...trained }),
  };
  return {
    kind: "gaussian-mixture",
    prior: mixtures,
    shape: [D],
    imageShape: [D],
    prediction,
    scheduler: { trainSteps: 1000, betaSchedule: "linear", betaStart: 1e-4, betaEnd: 0.02 },
    weights,
    tokenLength: 1,
    tokenize: (given) => Int32Array.from(given, (prompt) => indexOf(prompt, prompts)),
    conditionShapes: { means: [K, D], stds: [K], logWeights: [K], prompt: [P] },
    encode: (params, tokens) => encode(params, tokens, P),
    predict(params, x, time, condition) {
      const exact = exactPrediction(prediction, x, time.alphaBar, condition);
      if (!(`${POLICY}0.weight` in params)) return exact;
      const c = params[TEMPERING]?.stopGradient();
      const base = c ? temperedBase(prediction, exact, x, time.alphaBar, c) : exact;
      return base.add(timeMlp(params, POLICY, x, time.progress, promptOf(condition)));
    },
    decode: (latents) => latents,
    adaptation: () => ({
      ...adaptation,
      ...(hasTemperedBase(prediction) && {
        tempered: (eta: number) => ({
          ...adaptation,
          init: (rng: Rng) => ({
            ...adaptation.init(rng),
            [TEMPERING]: { shape: [1], data: Float32Array.of(1 - eta) },
          }),
        }),
      }),
    }),
    flow: {
      init: (rng) => initialize(timeMlpSpecs(D, features, FLOW), rng),
      predict: (params, x, time: Time, condition) => timeMlp(params, FLOW, x, time.progress, promptOf(condition)),
    },
  };
}

const POLICY = "policy.";
/**
 * 1 − η of a tempered base, kept with the trained parameters so that a run's weights say what they mean; absent where the
 * base is the pretrained network. Its gradient is stopped: trained, it went back to 0 (docs/log.md).
 */
const TEMPERING = `${POLICY}tempering`;
const FLOW = "flow.";

function indexOf(prompt: string, prompts: readonly string[]): number {
  const index = prompts.indexOf(prompt);
  if (index >= 0) return index;
  const known = prompts.map((name) => JSON.stringify(name)).join(", ");
  throw new ConfigError(
    `An exact world knows its own prompts only: ${known}; ${JSON.stringify(prompt)} came.${prompt === "" ? " It has no unconditional prompt: set sampler.guidance to 1." : ""}`,
  );
}

/** All mixtures side by side, padded to the largest with components of no weight. */
function tables(mixtures: readonly Mixture[]): NamedArrays {
  const P = mixtures.length;
  const K = Math.max(...mixtures.map(({ means }) => means.length));
  const D = dimensionOf(mixtures[0]!);
  const means = new Float32Array(P * K * D);
  const stds = new Float32Array(P * K).fill(1);
  const logWeights = new Float32Array(P * K).fill(PADDING_LOG_WEIGHT);
  mixtures.forEach((mixture, p) => {
    means.set(mixture.means.flat(), p * K * D);
    stds.set(mixture.stds, p * K);
    logWeights.set(
      mixture.weights.map((w) => (w > 0 ? Math.log(w) : PADDING_LOG_WEIGHT)),
      p * K,
    );
  });
  return {
    means: { shape: [P, K, D], data: means },
    stds: { shape: [P, K], data: stds },
    log_weights: { shape: [P, K], data: logWeights },
  };
}

function encode(params: Params, tokens: Tensor, P: number): Condition {
  const rows = (table: Tensor) => gather(table, tokens).reshape([-1, ...table.shape.slice(1)]); // [B, 1, …] to [B, …]
  const identity = Float32Array.from({ length: P * P }, (_, k) => (k % (P + 1) === 0 ? 1 : 0));
  return {
    means: rows(params.means!),
    stds: rows(params.stds!),
    logWeights: rows(params.log_weights!),
    prompt: rows(constant(identity, [P, P])),
  };
}

/**
 * With signal α = √ᾱ and noise σ the states have density Σ_k w_k N(α m_k, v_k I), v_k = α² s_k² + σ². Where ρ is the softmax
 * of the components' log densities and u_k = (x − α m_k)/v_k,
 * ε = −σ ∇log p = σ Σ_k ρ_k u_k,  x̂ = Σ_k ρ_k (m_k + α s_k² u_k),
 * v_prediction = α ε − σ x̂,  velocity = ε − x̂.
 * Diffusion has σ = √(1−ᾱ); the velocity is that of rectified flow, where α = 1−t and σ = t.
 */
function exactPrediction(
  prediction: Model["prediction"],
  x: Tensor,
  alphaBar: Tensor,
  { means, stds, logWeights }: Condition,
): Tensor {
  const [B, K, D] = means!.shape as [number, number, number];
  const power = alphaBar.reshape([B, 1]);
  const signal = power.sqrt();
  const noisePower = prediction === "velocity" ? signal.mul(-1).add(1).square() : power.mul(-1).add(1);
  const noise = noisePower.sqrt();
  const widths = stds!.square();
  const variances = power.mul(widths).add(noisePower); // [B, K]
  const differences = x.reshape([B, 1, D]).sub(means!.mul(signal.reshape([B, 1, 1]))); // [B, K, D]
  const rho = componentLogits(differences, logWeights!, variances).softmax();
  const shares = rho.div(variances);
  const over = (points: Tensor, weights: Tensor) => points.mul(weights.reshape([B, K, 1])).sum([1]); // Σ_k, [B, D]
  const eps = () => over(differences, shares).mul(noise);
  const x0Hat = () => over(means!, rho).add(over(differences, shares.mul(widths).mul(signal)));
  switch (prediction) {
    case "epsilon":
      return eps();
    case "sample":
      return x0Hat();
    case "v_prediction":
      return eps().mul(signal).sub(x0Hat().mul(noise));
    case "velocity":
      return eps().sub(x0Hat());
  }
}

/** Optimizer of docs/methods.md E.1, for the policy and for the flow network. */
const optimizer = { lr: 2e-3, betas: [0.9, 0.95], weightDecay: 0, clip: 1, decayAt: 0.7 };

export const gaussianMixtureKind = defineModel<z.input<typeof gaussianMixtureOptions>>({
  kind: "gaussian-mixture",
  summary: "an exact world: the prior is a Gaussian mixture, so the finetuned law is known",
  options: gaussianMixtureOptions,
  defaults: {
    sampler: { kind: "ddpm", steps: 20, grid: "leading", guidance: 1 },
    objective: { kind: "residual-nabla-db" },
    finetune: { mode: "full" },
    train: {
      updates: 800,
      trajectories: 80,
      strata: 5,
      checkpointEvery: 200,
      block: 80,
      threads: 1, // the network is so small that a second one would only wait
      optimizer,
      flowOptimizer: optimizer,
    },
    evaluate: { imagesPerPrompt: 2000 }, // exact measures rest on more
  },
  load: async (options) => gaussianMixture(options),
});
