/**
 * What a training run tells while it goes on. All but `checkpoint`, `resume` and `initial-law-step` are a line of events.jsonl
 * each, so that a run which was stopped and resumed has the events of one which was not.
 */
export type TrainEvent =
  | StepEvent
  | EvaluationEvent
  | InitialLawStepEvent
  | InitialLawEvent
  | CheckpointEvent
  | NoteEvent;

export interface StepEvent {
  type: "step";
  update: number;
  updates: number;
  /** Mean and std of the rewards of this update's rollout, before the update. */
  reward?: number;
  rewardStd?: number;
  /** Mean score of each part of a sum of rewards, before its mean, std and weight. */
  rewardParts?: Readonly<Record<string, number>>;
  /** `policy.forward`, `flow.reverse`, …; `loss` for pretraining. */
  losses: Record<string, number>;
  /** Global gradient norms before clipping, by network. */
  gradientNorm: Record<string, number>;
  lr: number;
  seconds: number;
}

export interface EvaluationEvent {
  type: "evaluation";
  update: number;
  [measure: string]: number | string;
}

/** The law of x_0 is being learned, before the first update of the policy: its `value`, then a chain that draws from it. */
export interface InitialLawStepEvent {
  type: "initial-law-step";
  stage: "value" | "chain";
  update: number;
  updates: number;
}

/** The law of x_0 is learned; updates of the policy begin. */
export interface InitialLawEvent {
  type: "initial-law";
  update: 0;
  /** KL of the paths that end in x_0 to those of N(0, I), 0 where the chain forgets its start. */
  kl: number;
}

export interface CheckpointEvent {
  type: "checkpoint";
  update: number;
  path: string;
}

export interface NoteEvent {
  type: "start" | "resume" | "interrupted" | "end";
  update: number;
}
