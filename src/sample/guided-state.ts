import type { Condition, Model, Time } from "../models/index.ts";
import type { Params } from "../nn/index.ts";
import { checkpoint, input, type Tensor } from "../tensor/index.ts";
import { levelColumns, splitColumns } from "./chain-columns.ts";
import { conditionInputs } from "./conditions.ts";
import { guided } from "./guided.ts";

/** A batch of states of the chain as a graph sees them, and the network there. */
export interface GuidedState {
  /** [B, …shape] */
  x: Tensor;
  /** Numbers of each sample's level, [B, 1, …] each. */
  level: Record<(typeof levelColumns)[number], Tensor>;
  time: Time;
  condition: Condition;
  /** Guided output with these parameters, [B, …shape]. */
  output(params: Params): Tensor;
}

/** Declares the inputs `names.x`, `names.columns`, `condition.…` and, with guidance, `unconditional.…`. */
export function guidedState(
  model: Model,
  guidance: number,
  batch: number,
  names: { x: string; columns: string } = { x: "x", columns: "columns" },
): GuidedState {
  const x = input(names.x, [batch, ...model.shape]);
  return guidedStateAt(model, guidance, x, input(names.columns, [batch, levelColumns.length]));
}

/**
 * The same of states x [B, …shape] that are computed, with the rows of their levels as a table [B, levelColumns]. With
 * `recompute` the inside of the network is not kept for the backward pass but computed again in it.
 */
export function guidedStateAt(
  model: Model,
  guidance: number,
  x: Tensor,
  columns: Tensor,
  { recompute = false }: { recompute?: boolean } = {},
): GuidedState {
  const batch = x.shape[0]!;
  const level = splitColumns(columns, levelColumns, x.shape.length);
  const flat = (t: Tensor) => t.reshape([batch]);
  const time: Time = { t: flat(level.t), alphaBar: flat(level.alphaBar), progress: flat(level.progress) };
  const condition = conditionInputs(model, batch, "condition");
  const unconditional = guidance === 1 ? undefined : conditionInputs(model, batch, "unconditional");
  const output = (params: Params) => {
    const at = (state: Tensor) => guided(model, params, state, time, condition, unconditional, guidance);
    return recompute ? checkpoint(at)(x) : at(x);
  };
  return { x, level, time, condition, output };
}
