import type { NamedArrays } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import { klControl } from "../objectives/kl-control.ts";
import { initialParts } from "../sample/initial-law.ts";
import type { InitialLawStepEvent, TrainEvent } from "./events.ts";
import { type Finetuned, finetuneLoop, type RunRecord, unrecorded } from "./finetune-loop.ts";
import type { LoopOptions } from "./finetune-options.ts";
import { fitInitialValue, valueReward } from "./initial-value.ts";

/**
 * `finetuneLoop`, before which the law of x_0 is learned where the objective asks for one: ν* ∝ N(0, I) exp(V), by
 * kl-control itself on a chain that forgets its start and whose pretrained law is N(0, I), with V for a reward. A run that is
 * stopped before it has the law learns it again, the same.
 */
export async function* finetuneFromInitialLaw(
  options: LoopOptions,
  record: RunRecord,
): AsyncGenerator<TrainEvent, Finetuned> {
  const asked = options.parts.objective.initialLaw;
  if (!asked) return yield* finetuneLoop(options, record);
  const initialLaw = yield* initialLawOf(options, record, asked.beta);
  if (initialLaw) return yield* finetuneLoop({ ...options, initialLaw }, record);
  const { config, parts } = options;
  return { policy: parts.adaptation.init(new Rng(config.train.seed)), finished: false };
}

/** Undefined when aborted. Unless there is a law to go on with, the record is closed. */
async function* initialLawOf(
  options: LoopOptions,
  record: RunRecord,
  beta: number,
): AsyncGenerator<TrainEvent, NamedArrays | undefined> {
  let law = record.saved?.sections.initial;
  try {
    if (law) return law;
    const learned = yield* learnInitialLaw(options, beta);
    if (!learned) return undefined;
    yield record.tell({ type: "initial-law", update: 0, kl: learned.kl });
    law = learned.law;
    return law;
  } finally {
    if (!law) record.close();
  }
}

interface Learned {
  law: NamedArrays;
  /** Of the paths of the last rollout, an upper bound of KL(ν* ‖ N(0, I)). */
  kl: number;
}

/** Undefined when aborted. */
async function* learnInitialLaw(
  options: LoopOptions,
  beta: number,
): AsyncGenerator<InitialLawStepEvent, Learned | undefined> {
  const { config, parts, runtime, signal } = options;
  const [seed] = new Rng(config.train.seed).integers(1, 2 ** 31, { purpose: "initialLaw" });
  const own = { ...config, train: { ...config.train, seed: seed!, accumulate: 1, updatesPerRollout: 1 } };
  const value = yield* fitInitialValue({ config: own, parts, runtime, signal }, beta);
  if (!value) return undefined;
  const start = initialParts(parts.model);
  const reward = valueReward(start.model, value);
  const control = { ...start, prompts: parts.prompts, reward, objective: klControl({ beta: 1 }) };
  const loop = finetuneLoop({ config: own, parts: control, runtime, signal }, unrecorded);
  try {
    for (let kl = 0; ; ) {
      const { value: event, done } = await loop.next();
      if (done) return event.finished ? { law: event.policy, kl } : undefined;
      if (event.type !== "step") continue;
      kl = event.losses["policy.kl"]!;
      yield { type: "initial-law-step", stage: "chain", update: event.update, updates: event.updates };
    }
  } finally {
    await loop.return({ policy: {}, finished: false }); // releases what it opened when the caller stops asking
  }
}
