import type { z } from "zod";
import type { Tensor } from "../tensor/index.ts";

/** What an objective asks the trainer to provide. Each need costs something; the trainer builds only what is named. */
export type Need =
  /** The frozen pretrained network at x_i. */
  | "reference"
  /** ∇r through the clean prediction: only rewards that are graphs have one. */
  | "reward-gradient"
  /** A flow-gradient network g_φ, trained beside the policy. */
  | "flow"
  /** The guided output stored when the trajectory was sampled. */
  | "old-output"
  /** Normalised rewards per trajectory. */
  | "advantage"
  /** A chain whose end forgets its start (B.7): otherwise the answer is biased. */
  | "memoryless-chain";

/** A network at one state of a batch of transitions. */
export interface StatePrediction {
  /** Guided output. [B, …shape] */
  readonly out: Tensor;
  /** Predicted clean sample x̂ = c₁x + c₂·out; at the terminal state x itself. */
  readonly x0Hat: Tensor;
  /** Mean of the kernel that leaves this state, μ = d₁x + d₂·out. */
  readonly mean: Tensor;
  /** (∂x̂/∂x)ᵀu + (∂μ/∂x)ᵀv with one vector-Jacobian product of the network. */
  pullBack(cotangents: { x0Hat?: Tensor; mean?: Tensor }): Tensor;
}

/** One end of a transition, x_i or x_{i+1}. */
export interface TransitionState {
  readonly x: Tensor;
  /** √ᾱ of the state (1 − t for flows), 1 at the terminal state. [B, 1, …] */
  readonly signal: Tensor;
  /** √ᾱ of the diffusion with the same signal-to-noise ratio, 1 at the terminal state. [B, 1, …] */
  readonly share: Tensor;
  /** 1 at states before the end of the chain, 0 at x_T. [B, 1, …] */
  readonly inside: Tensor;
  /** The frozen network here. */
  readonly reference: StatePrediction;
  /** The trained network here; gradients reach θ. */
  readonly policy: StatePrediction;
  /** The averaged policy that draws the trajectories, for objectives that state `oldPolicy`; never trained. */
  readonly old: StatePrediction;
  /** ∇r with respect to the clean prediction given, [B, …shape]; not differentiable again. */
  rewardGradient(x0Hat: Tensor): Tensor;
  /** r of the clean prediction given, [B, …shape] → [B]; detached, and only for rewards that are graphs. */
  predictedReward(x0Hat: Tensor): Tensor;
  /** The same level and prompt at other states, [B, …shape]. */
  at(x: Tensor): TransitionState;
  /** g_φ here; gradients reach φ. [B, …shape] */
  readonly flow: Tensor;
  /** f_φ here, the mean of g_φ over elements: 0 at the start; gradients reach φ. [B] */
  readonly flowMean: Tensor;
}

/** One step of a path. */
export interface PathStep {
  /** x_k as a function of θ, and the networks there. */
  readonly state: TransitionState;
  readonly sigma: number;
  /** Δ = (μ_θ − μ_#)/σ² at x_k. [B, …shape] */
  readonly delta: Tensor;
}

/**
 * The ends of trajectories as functions of θ: x_{k+1} = μ_θ(x_k) + σ_k z_k with the noise z that each was drawn with. It
 * starts at the earliest x_i that the objective may draw; in each row the gradient reaches back to that row's own x_i.
 */
export interface Path {
  readonly steps: readonly PathStep[];
  /** x_T; the trajectory's own, as long as θ is what it was drawn with. [B, …shape] */
  readonly end: Tensor;
}

/** A batch of transitions x_i → x_{i+1}, each with its own prompt, step index and trajectory. Parts are built on demand. */
export interface TransitionBatch {
  readonly state: TransitionState;
  readonly next: TransitionState;
  /** Standard deviation of the kernel. [B, 1, …] */
  readonly sigma: Tensor;
  /** Noising kernel P_B(x_i | x_{i+1}) = N(scale·x_{i+1}, std² I). [B, 1, …] each */
  readonly noising: { readonly scale: Tensor; readonly std: Tensor };
  /** Δ = (μ_θ − μ_#)/σ² = d₂(out_θ − out_#)/σ² */
  readonly delta: Tensor;
  readonly oldOutput: Tensor;
  /** Standard normal noise that is fresh in every update. [B, …shape] */
  readonly noise: Tensor;
  /** x_T of the transition's own trajectory. [B, …shape] */
  readonly end: Tensor;
  /** Standard deviation of all the noise in x_i, √(1 − ᾱ) (flows: t). [B, 1, …] */
  readonly noiseLevel: Tensor;
  /** For objectives that draw steps. */
  readonly path: Path;
  /** r of clean samples, [B, …shape] → [B]; gradients flow, so only for rewards that are graphs. */
  rewardOf(clean: Tensor): Tensor;
  /** r(x_T) of the transition's own trajectory. [B] */
  readonly reward: Tensor;
  /** [B] */
  readonly advantage: Tensor;
  /** log v of the step, where its covariance is σ² diag(v), for objectives that learn v; gradients reach it. [B, …shape] */
  readonly logVariance: Tensor;
  /** Log-probability of the stored x_{i+1} under the policy that sampled it, mean over elements. [B] */
  readonly oldLogProb: Tensor;
  /** The same under the policy in training. */
  readonly logProb: Tensor;
  /** Returns along the trajectory: A_{i+1} and R_i of docs/methods.md E.8. */
  readonly returns: { readonly next: Tensor; readonly pulledBack: Tensor };
  /** [B] → [B]: for each transition, the sum over its trajectory, of which every step must be in the batch. */
  trajectorySum(values: Tensor): Tensor;
  /** [B] → [B]: for each transition, the mean over those of its prompt, of which the batch must hold two trajectories. */
  promptMean(values: Tensor): Tensor;
}

/** How the trajectories of a rollout are drawn in groups of one prompt, and where those of a group are compared. */
export interface Groups {
  /** Trajectories of a group, 2 or more; divides train.trajectories. */
  readonly size: number;
  /** One initial state x_0 for the whole group. Default: each trajectory has its own. */
  readonly sharedNoise?: boolean;
  /** The std of advantages taken within groups: over the rollout or the group. Default: advantages look at no groups. */
  readonly advantageStd?: "batch" | "group";
  /** The losses read `trajectorySum` and `promptMean`, so that train.accumulate must leave groups comparable. */
  readonly comparedInLoss?: boolean;
}

/** A slowly following copy of the policy, old ← d·old + (1 − d)·θ before each rollout, which draws that rollout. */
export interface OldPolicy {
  /** d after so many updates. */
  decay(updates: number): number;
}

/**
 * Targets along a sampled trajectory, from the gradient of a value, h: λ-returns with decay λ > 0, or k-step returns, which
 * carry h(x_{i+k}) back along `steps` = k sampled steps.
 */
export type ReturnsOf = { value(state: TransitionState): Tensor } & (
  | { readonly lambda: number }
  | { readonly steps: number }
);

/** The shape of an update, for its cost. */
export interface UpdateShape {
  readonly T: number;
  /** Transitions per trajectory that an update trains on. */
  readonly transitions: number;
}

/**
 * Evaluations of the denoiser per trajectory, besides the T of drawing it: forward = vector-Jacobian product = 1, a parameter
 * gradient = forward + backward = 2. What one transition can share is counted once, and x_T, where nothing is predicted, costs
 * nothing. Not counted: flow networks, rewards, decoders; guidance, which doubles all of them; what a program computes again
 * because it is another program.
 */
export interface Evaluations {
  /** For targets that serve all updates on a rollout. Default: 0. */
  readonly perRollout?: number;
  readonly perUpdate: number;
}

/** Steps of a trajectory to train on: `count` of them, each drawn uniformly from from ≤ i < below. */
export interface StepDraw {
  readonly count: number;
  readonly from: number;
  readonly below: number;
}

/** Scalars to minimise, by name. A part trains only its own network. */
export interface Losses {
  policy?: Readonly<Record<string, Tensor>>;
  flow?: Readonly<Record<string, Tensor>>;
}

/** The law that an objective ends at if it does all it can. */
export const aims = {
  "tilted-prior": "p_pre · exp(beta · r)",
  "reward-alone": "exp(beta · r), whatever the prior is",
  "highest-reward": "the highest reward, at one point",
  "held-maximum": "the highest reward, held near the prior",
} as const;
export type Aim = keyof typeof aims;

/** What an objective file states. */
export interface ObjectiveDefinition<Options> {
  kind: string;
  /** Key in docs/papers.md. */
  paper: string;
  aim: Aim;
  /** One line for `nabla list objectives`. */
  summary: string;
  options: z.ZodType<Options>;
  needs(options: Options): readonly Need[];
  /** Which transitions of a trajectory are trained on: one per stratum and the last, all, or some drawn from a part of the T steps. */
  transitions: "strata" | "all" | ((T: number, options: Options) => StepDraw);
  /** For objectives that read `returns` of a batch; else undefined. */
  returns?(options: Options): ReturnsOf | undefined;
  /** What it costs. */
  evaluations(shape: UpdateShape, options: Options): Evaluations;
  /** For objectives that learn it: h = ∇log F̃ of a state before the end, which half steps follow; undefined where h is no such. */
  flowGradient?(options: Options): ((state: TransitionState) => Tensor) | undefined;
  /** The policy has variances of its own, trained by the losses that read `logVariance`. Default: the pretrained ones. */
  learnsVariance?(options: Options): boolean;
  /** For objectives that draw trajectories in groups; else each is drawn by itself. */
  groups?(options: Options): Groups;
  /** For objectives that read `old` of a state; else trajectories are drawn by the policy itself. */
  oldPolicy?(options: Options): OldPolicy;
  /** For objectives that start from a learned law of x_0, ∝ N(0, I) E_#[exp(β r) | x_0]; else x_0 ~ N(0, I). */
  initialLaw?(options: Options): { beta: number } | undefined;
  /** For objectives with the target p_pre^η exp(βr) whose policy is to start near p_pre^η: that η. Not every model can. */
  temperedBase?(options: Options): number | undefined;
  /** The chains it can be trained on: with noise in every step, with none in any, or both. Default: stochastic. */
  chain?: "stochastic" | "deterministic" | "any";
  /** Why so many updates on one rollout do not fit these options, with the way out; undefined when they do. Default: any fit. */
  refuseReuse?(updatesPerRollout: number, options: Options): string | undefined;
  losses(batch: TransitionBatch, options: Options): Losses;
}

/** An objective with its options applied. */
export interface Objective {
  readonly kind: string;
  readonly aim: Aim;
  readonly needs: readonly Need[];
  readonly transitions: "strata" | "all" | ((T: number) => StepDraw);
  readonly returns: ReturnsOf | undefined;
  readonly flowGradient: ((state: TransitionState) => Tensor) | undefined;
  readonly learnsVariance: boolean;
  readonly groups: Groups | undefined;
  readonly oldPolicy: OldPolicy | undefined;
  readonly initialLaw: { readonly beta: number } | undefined;
  readonly temperedBase: number | undefined;
  readonly chain: "stochastic" | "deterministic" | "any";
  /** Options after defaults, for the run's configuration. */
  readonly options: unknown;
  refuseReuse(updatesPerRollout: number): string | undefined;
  evaluations(shape: UpdateShape): Evaluations;
  losses(batch: TransitionBatch): Losses;
}
/** A registered objective: call it with options, or let a configuration name its kind. */
// biome-ignore lint/suspicious/noExplicitAny: a list of kinds takes each kind's own options
export interface ObjectiveKind<Options = any> {
  readonly kind: string;
  readonly paper: string;
  readonly aim: Aim;
  readonly summary: string;
  readonly options: z.ZodType<Options>;
  /** Options not given take their defaults. Throws a ZodError for options that do not fit. */
  (options?: Partial<Options>): Objective;
}

/** Defines an objective; everything else (programs, accumulation, logging, refusals) follows from what it states. */
export function defineObjective<Options>(definition: ObjectiveDefinition<Options>): ObjectiveKind<Options> {
  const { kind, paper, aim, summary, options: schema } = definition;
  const make = (given: Partial<Options> = {}): Objective => {
    const options = schema.parse(given);
    const { transitions } = definition;
    return {
      kind,
      aim,
      needs: definition.needs(options),
      transitions: typeof transitions === "function" ? (T) => transitions(T, options) : transitions,
      returns: definition.returns?.(options),
      flowGradient: definition.flowGradient?.(options),
      learnsVariance: definition.learnsVariance?.(options) ?? false,
      groups: definition.groups?.(options),
      oldPolicy: definition.oldPolicy?.(options),
      initialLaw: definition.initialLaw?.(options),
      temperedBase: definition.temperedBase?.(options),
      chain: definition.chain ?? "stochastic",
      options,
      refuseReuse: (updatesPerRollout) => definition.refuseReuse?.(updatesPerRollout, options),
      evaluations: (shape) => definition.evaluations(shape, options),
      losses: (batch) => definition.losses(batch, options),
    };
  };
  return Object.assign(make, { kind, paper, aim, summary, options: schema });
}
