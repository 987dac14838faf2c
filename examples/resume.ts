// Stops a run and goes on with it: the result is the same to the bit as without the stop.
//   node examples/resume.ts runs/resume         (Node 22.18 or newer)
import { pathToFileURL } from "node:url";
import { readConfig, train } from "nablaflow";
import { nodeRuntime } from "nablaflow/runtime/node";

/** Trains in `out`, stopping after `stopAt` updates; returns the updates that each of the two parts made. */
export async function stopAndResume(out: string, stopAt = 100, set: string[] = []) {
  const config = await readConfig("configs/worlds/ring8.yaml", { set });
  const runtime = nodeRuntime();
  const stop = new AbortController();
  const parts: number[][] = [[], []];
  for await (const event of train(config, { runtime, out, signal: stop.signal })) {
    if (event.type === "step") parts[0]!.push(event.update);
    if (event.type === "step" && event.update === stopAt) stop.abort(); // a checkpoint is saved
  }
  for await (const event of train(config, { runtime, out, resume: true })) {
    if (event.type === "step") parts[1]!.push(event.update);
  }
  return parts;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [first, second] = await stopAndResume(process.argv[2] ?? "runs/resume");
  console.log(`stopped after update ${first!.at(-1)}, went on with ${second![0]} to ${second!.at(-1)}`);
}
