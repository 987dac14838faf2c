import { nodeRuntime } from "../dist/runtime/node.js";
import { finetuneLoop } from "../dist/train/finetune-loop.js";
import { prepare, readConfig } from "../dist/train/index.js";

/** One update of the quickstart: sample 16 trajectories with the policy, score them, 96 transitions, a step of AdamW. */
export async function openUpdate(threads) {
  const config = await readConfig("configs/quickstart.yaml", { set: ["train.updates=1000", "evaluate.every=0"] });
  const parts = await prepare(config);
  const record = { saved: undefined, tell: (event) => event, save: async () => [], close: () => {} };
  const updates = finetuneLoop({ config, parts, runtime: nodeRuntime({ threads }) }, record);
  await updates.next(); // compiles; the first event tells of the start
  return {
    run: async () => {
      let event;
      do event = (await updates.next()).value;
      while (event.type !== "step");
    },
  };
}
