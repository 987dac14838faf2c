// One row of the benchmark in a process of its own, driven over standard input as reference/bench_peer.py is:
//   run N → milliseconds of N runs;  memory → peak resident memory in MiB;  results FILE → the arrays of the last run
//   node bench/worker.mjs NETWORK WORK DATA.safetensors THREADS
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { withPrefix } from "../dist/core/named-arrays.js";
import { readSafetensorsFile, writeSafetensors } from "../dist/weights/index.js";
import { openUpdate } from "./nabla-update.mjs";
import { networks } from "./networks.mjs";
import { openWork } from "./work.mjs";

const [name, work, data, threads] = process.argv.slice(2);
const open = async () => {
  if (work === "update") return openUpdate(Number(threads));
  const { tensors } = await readSafetensorsFile(data);
  const arrays = { parameters: withPrefix(tensors, "parameters."), inputs: withPrefix(tensors, "inputs.") };
  return openWork(networks[name], work, arrays, Number(threads));
};
const { run, results, flops, parameters } = await open();

const commands = {
  async run(count) {
    const times = [];
    for (let k = 0; k < Number(count); k++) {
      const start = performance.now();
      await run();
      times.push(performance.now() - start);
    }
    return times;
  },
  memory: () => Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? Number.NaN) / 1024,
  results(file) {
    writeFileSync(file, writeSafetensors(results()));
    return Object.keys(results()).length;
  },
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
say({ flops, parameters });
for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = line.split(" ");
  say(await commands[command](argument));
}
