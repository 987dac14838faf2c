import type { z } from "zod";
import type { ExactReward } from "../models/exact-target.ts";
import type { Tensor } from "../tensor/index.ts";

/** What a differentiable reward sees. */
export interface GraphRewardInput {
  /** [B, 3, H, W] in [0, 1], or [B, D] points of an exact world. */
  images: Tensor;
  /** What `promptFeatures` gave for each sample's own prompt, [B, size]; [B, 0-free] rewards ignore it. */
  prompts: Tensor;
}

/** What a host reward sees. */
export interface HostRewardInput {
  images: Float32Array;
  shape: readonly number[];
  prompts: readonly string[];
}

/** Numbers per prompt that a differentiable reward needs (a class, an embedding). */
export interface PromptFeatures {
  size: number;
  of(prompts: readonly string[]): Float32Array;
}

/** A differentiable reward with its options applied and its weights loaded: r = log R, higher is better. */
export interface GraphReward {
  readonly kind: string;
  readonly differentiable: true;
  readonly promptFeatures?: PromptFeatures;
  /** Closed form, where the tilted law of an exact world is known for it. */
  readonly exact?: ExactReward;
  /** Of a weighted sum: what it adds up. */
  readonly parts?: readonly RewardPart[];
  /** r per sample, [B]. A sample's score depends on that sample alone. */
  score(input: GraphRewardInput): Tensor;
}

/** A reward whose numbers are computed on the host, without a gradient. */
export interface HostReward {
  readonly kind: string;
  readonly differentiable: false;
  /** r per sample, [B]. */
  score(input: HostRewardInput): Promise<Float32Array>;
}

/** A weighted sum with a part on the host: it is scored part by part, graphs as graphs. */
export interface HostSum {
  readonly kind: string;
  readonly differentiable: false;
  readonly parts: readonly RewardPart[];
}

/** Mean and std of a reward over samples of the pretrained model, in units of that reward. */
export interface Normalization {
  readonly mean: number;
  /** > 0 */
  readonly std: number;
}

/** One term of a weighted sum: w r, or w (r − mean)/std. */
export interface RewardPart {
  readonly reward: GraphReward | HostReward;
  readonly weight: number;
  readonly normalization?: Normalization;
}

export type Reward = GraphReward | HostReward | HostSum;

/** What a reward file states. */
export interface RewardDefinition<Schema extends z.ZodType, Loaded = undefined> {
  kind: string;
  /** One line for `nabla list rewards`. */
  summary: string;
  options: Schema;
  /** Reads weights; runs once, after the whole configuration has been checked. */
  load?(options: z.output<Schema>): Promise<Loaded>;
  promptFeatures?(options: z.output<Schema>, loaded: Loaded): PromptFeatures;
  exact?(options: z.output<Schema>): ExactReward;
  score(input: GraphRewardInput, options: z.output<Schema>, loaded: Loaded): Tensor;
}
export interface HostRewardDefinition<Schema extends z.ZodType, Loaded = undefined> {
  kind: string;
  summary: string;
  options: Schema;
  /** Opens what lasts for a run, such as a connection; runs once, after the whole configuration has been checked. */
  load?(options: z.output<Schema>): Promise<Loaded>;
  host(input: HostRewardInput, options: z.output<Schema>, loaded: Loaded): Promise<Float32Array>;
}

/** A reward with checked options, its weights not read yet: what `train` takes in place of a configured kind. */
export type RewardValue = {
  readonly kind: string;
  /** Options after defaults, for the run's configuration. */
  readonly options: unknown;
  load(): Promise<GraphReward | HostReward>;
};

/** A registered reward: call it with options for a value that `train` takes, or let a configuration name its kind. */
// biome-ignore lint/suspicious/noExplicitAny: a list of kinds takes each kind's own options
export interface RewardKind<Options = any> {
  readonly kind: string;
  readonly summary: string;
  readonly differentiable: boolean;
  readonly options: z.ZodType;
  /** Throws a ZodError for options that do not fit. */
  (options?: Options): RewardValue;
}

/** Defines a differentiable reward (`score` builds a graph) or a host reward (`host` computes numbers). */
export function defineReward<Schema extends z.ZodType, Loaded = undefined>(
  definition: RewardDefinition<Schema, Loaded> | HostRewardDefinition<Schema, Loaded>,
): RewardKind<z.input<Schema>> {
  const { kind, summary, options: schema } = definition;
  const make = (given?: z.input<Schema>): RewardValue => {
    const options = schema.parse(given ?? {});
    return {
      kind,
      options,
      async load(): Promise<GraphReward | HostReward> {
        const loaded = (await definition.load?.(options)) as Loaded;
        if ("host" in definition) {
          return { kind, differentiable: false, score: (input) => definition.host(input, options, loaded) };
        }
        const features = definition.promptFeatures?.(options, loaded);
        const exact = definition.exact?.(options);
        return {
          kind,
          differentiable: true,
          ...(features && { promptFeatures: features }),
          ...(exact && { exact }),
          score: (input) => definition.score(input, options, loaded),
        };
      },
    };
  };
  return Object.assign(make, { kind, summary, options: schema, differentiable: !("host" in definition) });
}
