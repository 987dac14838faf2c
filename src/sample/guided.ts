import type { Condition, Model, Time } from "../models/index.ts";
import type { Params } from "../nn/index.ts";
import { concat, type Tensor } from "../tensor/index.ts";

/**
 * Classifier-free guidance: out = out_uncond + w (out_cond − out_uncond) [ho2022cfg]. Both halves run as one batch; with
 * w = 1 the unconditional half is left out.
 */
export function guided(
  model: Model,
  params: Params,
  x: Tensor,
  time: Time,
  condition: Condition,
  unconditional: Condition | undefined,
  guidance: number,
): Tensor {
  if (guidance === 1 || !unconditional) return model.predict(params, x, time, condition);
  const twice = (t: Tensor) => concat([t, t], 0);
  const both = Object.fromEntries(
    Object.entries(condition).map(([name, c]) => [name, concat([c, unconditional[name]!], 0)]),
  );
  const doubled: Time = { t: twice(time.t), alphaBar: twice(time.alphaBar), progress: twice(time.progress) };
  const out = model.predict(params, twice(x), doubled, both);
  const batch = x.shape[0]!;
  const outCond = out.slice(0, 0, batch);
  const outUncond = out.slice(0, batch, 2 * batch);
  return outUncond.add(outCond.sub(outUncond).mul(guidance));
}
