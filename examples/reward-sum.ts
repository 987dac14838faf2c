// A sum of two rewards with their units taken away; one is a function of one's own that runs on the host.
//   node examples/reward-sum.ts         (Node 22.18 or newer)
import { pathToFileURL } from "node:url";
import { defineReward, readConfig, train } from "nablaflow";
import { nodeRuntime } from "nablaflow/runtime/node";
import { z } from "zod";

/** Prefers points above a line; any function of numbers will do, since nothing differentiates it. */
export const above = defineReward({
  kind: "above",
  summary: "1 for a point above a height, else 0",
  options: z.strictObject({ height: z.number().default(0) }),
  async host({ images, shape, prompts }, { height }) {
    const size = shape[1]!; // points are [B, 2], pictures [B, 3, H, W] in [0, 1]
    return Float32Array.from(prompts, (_, b) => (images[b * size + 1]! > height ? 1 : 0));
  },
});

const brief = ["objective={kind: trajectory-balance}", "train.updates=200", "train.trajectories=32", "train.block=32"];

/** Trains with trajectory balance, which needs no gradient of r. Returns the means of both parts at every update. */
export async function trainOnSum(set: string[] = [], log: (line: string) => void = console.log) {
  const config = await readConfig("configs/worlds/ring8.yaml", { set: [...brief, ...set] });
  const reward = [
    { kind: "linear", k: [1, 0], normalize: { samples: 200 } },
    { ...above(), weight: 2, normalize: { samples: 200 } },
  ];
  const parts: Readonly<Record<string, number>>[] = [];
  for await (const event of train({ ...config, reward }, { runtime: nodeRuntime() })) {
    if (event.type === "step" && event.rewardParts) parts.push(event.rewardParts);
  }
  const [first, last] = [parts[0]!, parts.at(-1)!];
  for (const name of Object.keys(first)) log(`${name}: ${first[name]!.toFixed(3)} → ${last[name]!.toFixed(3)}`);
  return parts;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await trainOnSum();
