import { asConstants, asInputs } from "../dist/nn/index.js";
import { AdamW } from "../dist/optim/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { gradient, input, sizeOf } from "../dist/tensor/index.js";
import { flopsOf } from "./flops.mjs";

export const works = {
  forward: "forward, weights frozen",
  "input-gradient": "gradient to the input, weights frozen",
  "parameter-gradient": "gradient to all parameters",
  step: "the same and a step of AdamW",
};

const LEARNING_RATE = 1e-4;

/**
 * One kind of work with a network: `run` does it once, `results` are the arrays of the last run. The loss is the mean square of
 * the output.
 */
export async function openWork(network, work, { parameters, inputs }, threads) {
  const frozen = work === "forward" || work === "input-gradient";
  const params = frozen ? asConstants(parameters) : asInputs(parameters, "");
  const given = Object.fromEntries(Object.entries(network.inputs).map(([name, shape]) => [name, input(name, shape)]));
  const y = network.apply(params, given);
  const outputs = outputsOf(work, y, given.x, params);
  const program = await nodeRuntime({ threads }).compile(outputs);
  const feeds = Object.fromEntries(
    [...Object.entries(inputs), ...(frozen ? [] : Object.entries(parameters))].map(([name, { data }]) => [name, data]),
  );
  const optimizer = new AdamW({ weightDecay: 1e-2 });
  let results;
  return {
    flops: flopsOf(outputs),
    parameters: Object.values(network.specs).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    async run() {
      results = await program.run(feeds);
      if (work !== "step") return;
      const gradients = Object.entries(parameters).map(([name, { shape }]) => [
        name,
        { shape, data: results[`${name}'`] },
      ]);
      optimizer.step(parameters, Object.fromEntries(gradients), LEARNING_RATE);
    },
    results: () =>
      Object.fromEntries(
        Object.entries(results).map(([name, data]) => [name.replace(/'$/, ""), { shape: outputs[name].shape, data }]),
      ),
  };
}

/** What the program gives, a derivative under the name of what it is by and a '. */
function outputsOf(work, y, x, params) {
  if (work === "forward") return { output: y };
  const by = work === "input-gradient" ? { x } : params;
  const names = Object.keys(by);
  const gradients = gradient(y.square().mean(), Object.values(by));
  return Object.fromEntries(names.map((name, k) => [`${name}'`, gradients[k]]));
}
