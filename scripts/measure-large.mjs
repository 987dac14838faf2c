// Measures a training program of the size of Stable Diffusion 1.5: 860 M frozen parameters in a file of 3.4 GB, LoRA trained.
//   npm run build && node --expose-gc scripts/measure-large.mjs [FOLDER] [run]
// Prints nodes, seconds to build, differentiate, write and open, and memory with one and with two programs. FOLDER, default
// the system's for temporary files, gets the weights and loses them again. `run` also runs a forward pass (minutes, 5 GB).
// Last, the training program of the bundled model is opened and released 20 times.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Rng } from "../dist/core/rng.js";
import { loadDiffusers } from "../dist/models/diffusers.js";
import { parseUNetConfig, unet, unetSpecs } from "../dist/models/unet.js";
import { asConstants, asInputs, loraSpecs, withLora } from "../dist/nn/index.js";
import { describeOnnx } from "../dist/onnx/describe.js";
import { emitOnnx } from "../dist/onnx/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { gradient, input, sizeOf } from "../dist/tensor/index.js";
import { mapWeights } from "../dist/weights/index.js";
import { buildHeader } from "../dist/weights/safetensors-header.js";

const TARGETS = ["*.to_q", "*.to_k", "*.to_v", "*.to_out.0", "*.conv1", "*.conv2"];
const [parent = tmpdir(), runs] = process.argv.slice(2);
/** unet/config.json of Stable Diffusion 1.5, as far as it says something. */
const config = parseUNetConfig(
  JSON.parse(readFileSync(new URL("../tests/worlds/stable-diffusion.json", import.meta.url), "utf8")),
  "Stable Diffusion 1.5",
);
const SIDE = config.sample_size;

const folder = mkdtempSync(join(parent, "nablaflow-large-"));
try {
  const path = join(folder, "unet.safetensors");
  await timed("write the weights", () => writeRandomWeights(path));
  await measure(path);
} finally {
  rmSync(folder, { recursive: true });
}
await rebuild(20);

async function measure(path) {
  const weights = await timed("open the weights", () => mapWeights(path, folder));
  const start = performance.now();
  const frozen = asConstants(weights);
  const losses = await timed("build", () => residual(frozen, weights));
  const names = Object.keys(losses.lora);
  const gradients = await timed("differentiate", () =>
    gradient(
      losses.loss,
      names.map((name) => losses.lora[name]),
    ),
  );
  const outputs = { loss: losses.loss, ...Object.fromEntries(names.map((name, k) => [`grad.${name}`, gradients[k]])) };
  const runtime = nodeRuntime();
  const training = await timed("write and open", () => runtime.compile(outputs));
  const seconds = (performance.now() - start) / 1000;
  const { bytes } = await timed("  of which write", () => emitOnnx(outputs));
  console.log(`${describeOnnx(bytes).nodes} nodes, ${bytes.length} bytes: ${seconds.toFixed(1)} s in all (goal: 20)`);

  const sample = () => ({ y: unet(frozen, config, ...state(0)) });
  const sampling = await timed("a sampling program", () => runtime.compile(sample()));
  if (runs) {
    await timed("  its first run", () => sampling.run(feedsOf(sampling)));
    const second = await timed("a second one", () => runtime.compile(sample()));
    await timed("  its first run", () => second.run(feedsOf(second)));
    await second.release();
  }
  for (const program of [training, sampling]) await program.release();
}

function state(k) {
  const text = input("text", [1, 77, config.cross_attention_dim]);
  return [input(`x${k}`, [1, 4, SIDE, SIDE]), input(`t${k}`, [1]), text];
}

/** Two passes of the frozen and two of the trained network, as residual ∇-DB has them at the two ends of a transition. */
function residual(frozen, weights) {
  const lora = asInputs(loraSpecs(weights, TARGETS, 8), "");
  const policy = withLora(frozen, lora, 1);
  const [here, next] = [0, 1].map((k) => unet(policy, config, ...state(k)).sub(unet(frozen, config, ...state(k))));
  return { loss: here.sub(next).square().mean(), lora };
}

/** LoRA training of the bundled model, opened, run and released. */
async function rebuild(times) {
  const model = await loadDiffusers("assets/models/animals-32");
  const adaptation = model.adaptation({ mode: "lora", rank: 8, alpha: 8, targets: TARGETS });
  const trained = adaptation.init(new Rng(0));
  const runtime = nodeRuntime();
  for (let k = 1; k <= times; k++) {
    const lora = asInputs(trained, "");
    const params = adaptation.bind(asConstants(model.weights), lora);
    const x = input("x", [8, ...model.shape]);
    const text = input("text", [8, ...model.conditionShapes.text]);
    const loss = model
      .predict(params, x, { t: input("t", [8]) }, { text })
      .square()
      .mean();
    const names = Object.keys(lora);
    const gradients = gradient(
      loss,
      names.map((name) => lora[name]),
    );
    const program = await runtime.compile({ loss, ...Object.fromEntries(gradients.map((g, i) => [`g${i}`, g])) });
    await program.run({ ...feedsOf(program), ...Object.fromEntries(names.map((name) => [name, trained[name].data])) });
    await program.release();
    globalThis.gc?.();
    if (k % 5 === 0) console.log(`bundled model, ${k} training programs opened, run and released: ${memory()}`);
  }
}

function feedsOf({ inputs }) {
  const rng = new Rng(1);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }], sample) => [
      name,
      /^t\d*$/.test(name)
        ? new Float32Array(sizeOf(shape)).fill(500)
        : Float32Array.from(rng.normal(sizeOf(shape), { purpose: "init", sample })),
    ]),
  );
}

/** Small numbers without a pattern: a file of zeros would take no disk and no memory. */
function writeRandomWeights(path) {
  const specs = Object.entries(unetSpecs(config));
  const entries = specs.map(([name, { shape }]) => ({ name, shape, dtype: "F32", bytes: 4 * sizeOf(shape) }));
  const file = openSync(path, "w");
  try {
    writeAll(file, buildHeader(entries, {}));
    let seed = 1;
    for (const [, { shape, init }] of specs) {
      const values = new Float32Array(sizeOf(shape)).fill(init === "ones" ? 1 : 0);
      const bound = Math.sqrt(3 / sizeOf(shape.slice(1))); // keeps the variance of what passes through
      if (shape.length > 1) {
        for (let i = 0; i < values.length; i++) {
          seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
          values[i] = bound * (seed / 2 ** 31);
        }
      }
      writeAll(file, new Uint8Array(values.buffer));
    }
  } finally {
    closeSync(file);
  }
}

function writeAll(file, bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at);
}

async function timed(what, work) {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${what.padEnd(20)} ${seconds.toFixed(2).padStart(7)} s (${((user + system) / 1e6).toFixed(2)} s of processor, ${cpus().length} cores)  ${memory()}`,
  );
  return result;
}

/** Linux only: pages of this process, those that belong to no file, and the largest number so far, in MB. */
function memory() {
  const read = (file, field) =>
    Math.round(
      Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/self/${file}`, "utf8"))[1]) / 1024,
    );
  return `${read("smaps_rollup", "Rss")} MB resident, ${read("smaps_rollup", "Pss")} without double counts, ${read("smaps_rollup", "Anonymous")} in no file, peak ${read("status", "VmHWM")}`;
}
