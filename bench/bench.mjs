// Times training and inference of networks, in milliseconds and memory, against this machine's own ceilings and, on request, PyTorch.
//   npm run bench [-- --only unet --runs 12 --json FILE --peer PYTHON]
// Every row is a fresh process, so that its peak memory is its own; with --peer, rows of the same work take turns in one run.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Rng } from "../dist/core/index.js";
import { initialize } from "../dist/nn/index.js";
import { sizeOf } from "../dist/tensor/index.js";
import { writeSafetensors } from "../dist/weights/index.js";
import { agreement } from "./agreement.mjs";
import { measureCeilings } from "./ceilings.mjs";
import { networks } from "./networks.mjs";
import { startOurs, startPeer } from "./processes.mjs";
import { quartiles, rowOf, showTable } from "./table.mjs";
import { works } from "./work.mjs";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    runs: { type: "string", default: "12" },
    threads: { type: "string", default: "2" },
    json: { type: "string" },
    peer: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});
if (options.help) {
  console.log(`npm run bench -- [options]
  --only TEXT     rows whose name contains TEXT, e.g. unet or "clip-encoder/step"
  --runs N        timed runs of each row (12), after two that are not timed
  --threads N     threads of one operator (2)
  --json FILE     the rows as JSON
  --peer PYTHON   a Python that imports torch, diffusers and transformers: times them on the same work, in turns`);
  process.exit(0);
}
const runs = Number(options.runs);
const threads = Number(options.threads);
const ROUND = 3; // runs before it is another process's turn
const WARM_UP = 2;

const folder = mkdtempSync(join(tmpdir(), "nablaflow-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const all = [
  ...Object.keys(networks).flatMap((network) => Object.keys(works).map((work) => ({ network, work }))),
  { network: "animals-32", work: "update" },
];
const cells = all.filter(({ network, work }) => `${network}/${work}`.includes(options.only));
if (cells.length === 0) {
  console.error(
    `--only ${options.only}: no row's name contains it. The rows are ${all.map(({ network, work }) => `${network}/${work}`).join(", ")}.`,
  );
  process.exit(2);
}

const ceilings = await measureCeilings(threads);
console.error(
  `ceilings: MatMul ${ceilings.matmul.toFixed(0)} GFLOPS, Conv ${ceilings.conv.toFixed(0)} GFLOPS; ${threads} threads of ${cpus()[0]?.model}`,
);
const rows = [];
for (const { network, work } of cells) {
  const data = join(folder, `${network}.safetensors`);
  if (networks[network]) writeFileSync(data, writeSafetensors(arraysOf(networks[network])));
  rows.push(...(await measure(network, work, data)));
}
console.log(showTable(rows));
if (options.json) {
  const machine = { cpu: cpus()[0]?.model, threads, node: process.version, ceilings };
  writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 1)}\n`);
}

/** The rows of one work: ours, then one per way of running the peer. */
async function measure(network, work, data) {
  const label = `${network}/${work}`;
  console.error(`${label} …`);
  const ways =
    options.peer && networks[network] ? ["eager", ...(network === "unet" ? ["channels_last"] : []), "compile"] : [];
  const ours = await startOurs([network, work, data, threads]);
  const peers = [];
  for (const way of ways) peers.push(await startPeer(options.peer, [network, work, data, threads, way]));
  const everyone = [ours, ...peers];
  for (const one of everyone) await one.ask(`run ${WARM_UP}`);
  const found = ours.facts.flops && peers.length > 0 ? await agreement(folder, ours, peers) : [];
  const times = everyone.map(() => []);
  for (let done = 0; done < runs; done += ROUND) {
    for (const [k, one] of everyone.entries()) times[k].push(...(await one.ask(`run ${Math.min(ROUND, runs - done)}`)));
  }
  const made = [];
  for (const [k, one] of everyone.entries()) {
    const memory = await one.ask("memory");
    made.push(
      rowOf(
        { network, work, by: one.name, ...quartiles(times[k]), memory, difference: found[k - 1] },
        ours.facts,
        ceilings,
      ),
    );
    one.end();
  }
  return made;
}

/** Random parameters and inputs of a network, the same in every run and for the peer. */
function arraysOf({ specs, inputs }) {
  const rng = new Rng(0);
  const arrays = {};
  for (const [name, array] of Object.entries(initialize(specs, rng))) arrays[`parameters.${name}`] = array;
  Object.entries(inputs).forEach(([name, shape], sample) => {
    const data = rng.normal(sizeOf(shape), { purpose: "data", sample, step: 0 });
    if (name === "t") for (const k of data.keys()) data[k] = 500 + 100 * data[k];
    arrays[`inputs.${name}`] = { shape, data };
  });
  return arrays;
}
