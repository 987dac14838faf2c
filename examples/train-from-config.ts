// Trains from a configuration file and follows the events.
//   node examples/train-from-config.ts         (Node 22.18 or newer)
import { pathToFileURL } from "node:url";
import { readConfig, train } from "nablaflow";
import { nodeRuntime } from "nablaflow/runtime/node";

/** Returns the mean reward of the last rollout. `set` overrides keys as --set does. */
export async function trainFromConfig(set: string[] = [], log: (line: string) => void = console.log) {
  const config = await readConfig("configs/worlds/ring8.yaml", { set });
  let reward = Number.NaN;
  for await (const event of train(config, { runtime: nodeRuntime() })) {
    if (event.type !== "step") continue;
    reward = event.reward ?? reward;
    if (event.update % 100 === 0) log(`${event.update}  reward ${reward.toFixed(3)}`);
  }
  return reward;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await trainFromConfig();
