// Finetunes the bundled text-to-image model towards a network from PyTorch that scores warm colours: exported-reward.py trains it
// and makes exported-reward.onnx, of which this reads no more than any ONNX file says.
//   node examples/exported-reward.ts         (Node 22.18 or newer; about four minutes)
import { fileURLToPath, pathToFileURL } from "node:url";
import { readConfig, train } from "nablaflow";
import { nodeRuntime } from "nablaflow/runtime/node";

/** mean and std are those of the script; at this scale the pretrained model's pictures have a standard deviation of about 4. */
export const exported = {
  path: fileURLToPath(new URL("exported-reward.onnx", import.meta.url)),
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  scale: 12,
};

/** Returns the mean reward of the samples before each update. `set` overrides keys as --set does. */
export async function trainOnExported(set: string[] = [], log: (line: string) => void = console.log) {
  const config = await readConfig("configs/quickstart.yaml", { set: ["train.updates=30", ...set] });
  const rewards: number[] = [];
  for await (const event of train({ ...config, reward: { kind: "onnx", ...exported } }, { runtime: nodeRuntime() })) {
    if (event.type !== "step" || event.reward === undefined) continue;
    rewards.push(event.reward);
    log(`${event.update}  reward ${event.reward.toFixed(3)} ± ${event.rewardStd?.toFixed(3)}`);
  }
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  log(`mean of four updates ${mean(rewards.slice(0, 4)).toFixed(3)} → ${mean(rewards.slice(-4)).toFixed(3)}`);
  return rewards;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await trainOnExported();
