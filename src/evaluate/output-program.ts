import type { Params } from "../nn/index.ts";
import type { Program, Runtime } from "../runtime/index.ts";
import { columnsInput, levelColumns } from "../sample/chain-columns.ts";
import { conditionInputs } from "../sample/chain-sampler.ts";
import { guided } from "../sample/guided.ts";
import { input } from "../tensor/index.ts";
import type { SamplingParts } from "../train/prepare.ts";

/** The guided output of the network at given states: inputs `x`, `columns`, conditions; output `out`. */
export function compileOutput(runtime: Runtime, parts: SamplingParts, params: Params, block: number): Promise<Program> {
  const { model, guidance } = parts;
  const shape = [block, ...model.shape];
  const x = input("x", shape);
  const level = columnsInput("columns", levelColumns, block, shape.length);
  const flat = (name: "t" | "alphaBar" | "progress") => level[name].reshape([block]);
  const time = { t: flat("t"), alphaBar: flat("alphaBar"), progress: flat("progress") };
  const condition = conditionInputs(model, block, "condition");
  const unconditional = guidance === 1 ? undefined : conditionInputs(model, block, "unconditional");
  return runtime.compile({ out: guided(model, params, x, time, condition, unconditional, guidance) });
}
