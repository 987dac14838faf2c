import type { Condition, Model, Time } from "../models/index.ts";
import type { Params } from "../nn/index.ts";
import { input, type Tensor } from "../tensor/index.ts";
import { columnsInput, levelColumns } from "./chain-columns.ts";
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
  const shape = [batch, ...model.shape];
  const x = input(names.x, shape);
  const level = columnsInput(names.columns, levelColumns, batch, shape.length);
  const flat = (t: Tensor) => t.reshape([batch]);
  const time: Time = { t: flat(level.t), alphaBar: flat(level.alphaBar), progress: flat(level.progress) };
  const condition = conditionInputs(model, batch, "condition");
  const unconditional = guidance === 1 ? undefined : conditionInputs(model, batch, "unconditional");
  const output = (params: Params) => guided(model, params, x, time, condition, unconditional, guidance);
  return { x, level, time, condition, output };
}
