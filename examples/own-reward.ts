// A reward of one's own, given as a value: no registry is needed.
//   node examples/own-reward.ts         (Node 22.18 or newer)
import { pathToFileURL } from "node:url";
import { defineReward, readConfig, train } from "nablaflow";
import { nodeRuntime } from "nablaflow/runtime/node";
import { z } from "zod";

/** Prefers points on one side of the plane, from −strength to +strength. For pictures see docs/guide/own-reward.md. */
export const side = defineReward({
  kind: "side",
  summary: "tanh of the first coordinate of a point",
  options: z.strictObject({ strength: z.number().positive().default(1) }),
  score: ({ images }, { strength }) => images.slice(1, 0, 1).tanh().mul(strength).sum([1]), // [B, 2] to [B]
});

/** Returns the mean reward of each update's samples. */
export async function trainOnOwnReward(set: string[] = [], log: (line: string) => void = console.log) {
  const config = await readConfig("configs/worlds/ring8.yaml", { set });
  const rewards: number[] = [];
  for await (const event of train({ ...config, reward: side({ strength: 2 }) }, { runtime: nodeRuntime() })) {
    if (event.type === "step" && event.reward !== undefined) rewards.push(event.reward);
  }
  log(`mean reward ${rewards[0]!.toFixed(3)} → ${rewards.at(-1)!.toFixed(3)}`);
  return rewards;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await trainOnOwnReward();
