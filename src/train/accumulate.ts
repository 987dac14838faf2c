import { NonFiniteError } from "../core/errors.ts";
import type { NamedArray } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import type { Program, Values } from "../runtime/index.ts";
import { sizeOf } from "../tensor/index.ts";
import type { LoopOptions } from "./finetune-options.ts";
import { minibatch, type Rollout } from "./minibatch.ts";
import { type Programs, returnSources } from "./programs.ts";
import { stepReturns } from "./step-returns.ts";
import type { Network, TrainState } from "./train-state.ts";
import { chooseTransitions, type TransitionIndex, transitionChoice } from "./transitions.ts";

/** Losses and gradients of one update, averaged over its pieces. */
export async function accumulate(
  { config, parts }: LoopOptions,
  state: TrainState,
  programs: Programs,
  rollout: Rollout,
): Promise<{ losses: Record<string, number>; gradients: Partial<Record<Network, Record<string, NamedArray>>> }> {
  const { seed, strata } = config.train;
  const { T } = parts.chain;
  const rng = new Rng(seed);
  const choice = transitionChoice(parts.objective, T, { strata, rng, update: state.update });
  const chosen = chooseTransitions(rollout.trajectories.count, T, choice);
  const { returns } = parts.objective;
  const targets =
    returns && "steps" in returns
      ? await stepReturns(returnSources(programs, parts, state, rollout.trajectories), returns.steps, chosen)
      : rollout.returns;
  const known: Rollout = targets ? { ...rollout, returns: targets } : rollout;
  const pieces = piecesOf(chosen, programs.batch);
  const losses: Record<string, number> = {};
  const gradients: Partial<Record<Network, Record<string, NamedArray>>> = {};
  for (const [k, piece] of pieces.entries()) {
    const { inputs } = programs.update;
    const feeds = minibatch(parts, programs.conditions, known, piece, inputs);
    const noise = freshNoise(inputs, rng, state.update, k * programs.batch);
    const result = await programs.update.run({ ...pick(state.trained, inputs), ...feeds, ...noise });
    for (const [name, data] of Object.entries(result)) {
      const [kind, network, ...rest] = name.split(".") as ["loss" | "gradient", Network, ...string[]];
      const key = rest.join(".");
      const refuse = (what: string, value: number) => {
        throw notFinite(`${what} ${network}.${key}`, value, piece, rollout, state.update + 1, seed);
      };
      if (kind === "loss") {
        if (!Number.isFinite(data[0])) refuse("the loss", data[0]!);
        losses[`${network}.${key}`] = (losses[`${network}.${key}`] ?? 0) + data[0]! / pieces.length;
        continue;
      }
      gradients[network] ??= {};
      const sum = gradients[network];
      if (!sum[key]) sum[key] = { shape: [data.length], data: new Float32Array(data.length) };
      const into = sum[key]!.data;
      let total = 0; // not finite as soon as one value is not
      for (let i = 0; i < data.length; i++) {
        into[i]! += data[i]! / pieces.length;
        total += data[i]!;
      }
      if (!Number.isFinite(total)) refuse("the gradient of", total);
    }
  }
  return { losses, gradients };
}

/** Splits transitions into pieces of the compiled size; the check of the configuration made it fit. */
function piecesOf(chosen: readonly TransitionIndex[], batch: number): TransitionIndex[][] {
  return Array.from({ length: chosen.length / batch }, (_, k) => chosen.slice(k * batch, (k + 1) * batch));
}

/** Noise of the rows from `first` on, for a program that has the input; it depends on (seed, update, row) alone. */
function freshNoise({ noise }: Program["inputs"], rng: Rng, update: number, first: number): Values {
  if (!noise) return {};
  const [rows, ...shape] = noise.shape as [number, ...number[]];
  const size = sizeOf(shape);
  const out = new Float32Array(rows * size);
  for (let b = 0; b < rows; b++) {
    rng.fillNormal(out, b * size, size, { purpose: "objective", sample: first + b, step: update });
  }
  return { noise: out };
}

function notFinite(
  what: string,
  value: number,
  piece: readonly TransitionIndex[],
  { trajectories: { prompts } }: Rollout,
  update: number,
  seed: number,
): NonFiniteError {
  const named = [...new Set(piece.map(({ trajectory }) => `"${prompts[trajectory]}"`))].slice(0, 5);
  return new NonFiniteError(
    `Update ${update}: ${what} is ${value} (prompts ${named.join(", ")}; seed ${seed}). The last good checkpoint is kept; a smaller learning rate or a smaller beta usually helps.`,
  );
}

const pick = (values: Values, wanted: Program["inputs"]): Values =>
  Object.fromEntries(Object.entries(values).filter(([name]) => name in wanted));
