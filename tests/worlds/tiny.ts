import type { Network } from "../../src/models/index.ts";
import { initialize, type ParamSpecs, type Params } from "../../src/nn/params.ts";
import { concat, type Tensor } from "../../src/tensor/index.ts";
import type { Parts } from "../../src/train/prepare.ts";

const WIDTH = 4;

/** The same world with networks of four units, so that float64 references are quick. Last layers start at zero. */
export function tiny(parts: Parts): Parts {
  const { model } = parts;
  const D = model.shape[0]!;
  const specs: ParamSpecs = {
    "in.weight": { shape: [WIDTH, D + 1], init: { uniform: 1 } },
    "in.bias": { shape: [WIDTH], init: { uniform: 1 } },
    "out.weight": { shape: [D, WIDTH], init: "zeros" },
    "out.bias": { shape: [D], init: "zeros" },
  };
  const network = (params: Params, x: Tensor, progress: Tensor) => {
    const layer = (name: string, h: Tensor) =>
      h.matmul(params[`${name}.weight`]!, { transB: true }).add(params[`${name}.bias`]!);
    return layer("out", layer("in", concat([x, progress.reshape([-1, 1])], 1)).tanh());
  };
  const flow: Network = {
    init: (rng) => initialize(specs, rng),
    predict: (params, x, time) => network(params, x, time.progress),
  };
  return {
    ...parts,
    model: {
      ...model,
      predict(params, x, time, condition) {
        const eps = model.predict(params, x, time, condition);
        return params["in.weight"] ? eps.add(network(params, x, time.progress)) : eps;
      },
      flow,
    },
    adaptation: { init: flow.init, bind: (frozen, trained) => ({ ...frozen, ...trained }) },
  };
}
