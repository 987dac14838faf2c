import { join } from "node:path";
import { readSafetensorsFile } from "../dist/weights/index.js";

/**
 * How far the results of each peer are from ours: the largest of ‖a − b‖/(‖b‖ + f) over all arrays, f a thousandth of the largest ‖b‖,
 * since some derivatives are zero but for rounding (the bias of an attention's keys). After a step of AdamW both have moved their own
 * weights, so that this must be asked after as many runs of one as of the other.
 */
export async function agreement(folder, ours, peers) {
  const arraysOf = async (one, name) => {
    const file = join(folder, `${name}.safetensors`);
    await one.ask(`results ${file}`);
    return (await readSafetensorsFile(file)).tensors;
  };
  const mine = await arraysOf(ours, "ours");
  const differences = [];
  for (const peer of peers) {
    const theirs = await arraysOf(peer, "peer");
    const names = Object.keys(mine);
    const floor = 1e-3 * Math.max(...names.map((name) => norm(theirs[name].data)));
    const apart = (name) =>
      norm(mine[name].data.map((value, k) => value - theirs[name].data[k])) / (norm(theirs[name].data) + floor);
    differences.push(Math.max(...names.map(apart)));
  }
  return differences;
}

const norm = (data) => Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0));
