// Converts the first layers of nsfwjs' MobileNetV2, up to block_9_add, to assets/models/mobilenet-features.
//
//   npm pack nsfwjs@4.3.0 && tar xzf nsfwjs-4.3.0.tgz
//   npm run build && node scripts/convert-mobilenet.mjs package/dist/models/mobilenet_v2 [--out assets/models/mobilenet-features]
//
// The package is an input of this script only, never a dependency of the project. It holds a TensorFlow.js layers model as
// CommonJS modules: model.min.js is the model.json, group1-shard1of1.min.js the only shard in base64.

import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { mobilenetV2Specs, parseMobileNetV2Config } from "../dist/models/mobilenet-v2.js";
import { writeSafetensorsFile } from "../dist/weights/index.js";

const { values: options, positionals } = parseArgs({
  options: { out: { type: "string", default: "assets/models/mobilenet-features" } },
  allowPositionals: true,
});
if (positionals.length !== 1) throw new Error("Name the folder that holds model.min.js and its shard.");
const source = resolve(positionals[0]);

/** The first four stages of table 2 of the paper: block_9_add ends the fourth. The card says why `side` is 64. */
const config = parseMobileNetV2Config({
  side: 64,
  stem: 32,
  stages: [
    { expansion: 1, channels: 16, blocks: 1, stride: 1 },
    { expansion: 6, channels: 24, blocks: 2, stride: 2 },
    { expansion: 6, channels: 32, blocks: 3, stride: 2 },
    { expansion: 6, channels: 64, blocks: 4, stride: 2 },
  ],
});

const require = createRequire(import.meta.url);
const model = require(join(source, "model.min.js"));
const arrays = dequantized(model.weightsManifest, (path) =>
  Buffer.from(require(join(source, `${path}.min.js`)), "base64"),
);
const epsilon = Object.fromEntries(
  model.modelTopology.model_config.config.layers.map(({ name, config }) => [name, config.epsilon]),
);

const blocks = config.stages.flatMap(({ blocks }, s) => Array.from({ length: blocks }, (_, b) => `stages.${s}.${b}`));
const weights = Object.assign(
  folded("stem", "Conv1/kernel", "bn_Conv1"),
  ...blocks.map((name, index) => block(name, index === 0 ? "expanded_conv" : `block_${index}`)),
);
for (const [name, { shape }] of Object.entries(mobilenetV2Specs(config))) {
  if (String(weights[name]?.shape) !== String(shape)) {
    throw new Error(`${name} must be [${shape}], but the model gives [${weights[name]?.shape}].`);
  }
}

mkdirSync(options.out, { recursive: true });
writeFileSync(join(options.out, "config.json"), `${JSON.stringify(config, null, 1)}\n`);
await writeSafetensorsFile(join(options.out, "model.safetensors"), weights, {}, "F16");
const count = Object.values(weights).reduce((n, { data }) => n + data.length, 0);
console.log(`${count} parameters, largest ${largest(weights).toPrecision(3)}, in ${options.out}`);

/** Weights by name: 8-bit numbers q stand for min + scale·q. */
function dequantized(manifest, readShard) {
  return Object.fromEntries(
    manifest.flatMap(({ paths, weights }) => {
      const bytes = Buffer.concat(paths.map(readShard));
      let at = 0;
      return weights.map(({ name, shape, quantization: { dtype, min, scale } }) => {
        if (dtype !== "uint8") throw new Error(`${name} is quantised to ${dtype}; only uint8 is known.`);
        const n = shape.reduce((product, size) => product * size, 1);
        const data = Float64Array.from(bytes.subarray(at, at + n), (q) => min + scale * q);
        at += n;
        return [name, { shape, data }];
      });
    }),
  );
}

function block(name, layer) {
  const expand =
    arrays[`${layer}_expand/kernel`] && folded(`${name}.expand`, `${layer}_expand/kernel`, `${layer}_expand_BN`);
  return {
    ...expand,
    ...folded(`${name}.depthwise`, `${layer}_depthwise/depthwise_kernel`, `${layer}_depthwise_BN`),
    ...folded(`${name}.project`, `${layer}_project/kernel`, `${layer}_project_BN`),
  };
}

/**
 * A convolution and the batch normalisation after it as one convolution with bias: γ (w∗x − μ)/√(σ² + ε) + β
 * = (g w)∗x + β − g μ, g = γ/√(σ² + ε). Kernels [kh, kw, in, out] become [out, in, kh, kw]; depthwise ones
 * [kh, kw, channels, 1] become [channels, 1, kh, kw].
 */
function folded(name, kernel, norm) {
  const { shape, data } = arrays[kernel];
  const [kh, kw] = shape;
  const [inputs, outputs] = kernel.endsWith("depthwise_kernel") ? [1, shape[2]] : shape.slice(2);
  const [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"].map(
    (part) => arrays[`${norm}/${part}`].data,
  );
  const gain = gamma.map((g, o) => g / Math.sqrt(variance[o] + epsilon[norm]));
  const weight = new Float32Array(data.length);
  const taps = kh * kw;
  for (let t = 0; t < taps; t++) {
    for (let c = 0; c < inputs; c++) {
      for (let o = 0; o < outputs; o++) {
        weight[(o * inputs + c) * taps + t] = gain[o] * data[(t * inputs + c) * outputs + o];
      }
    }
  }
  return {
    [`${name}.weight`]: { shape: [outputs, inputs, kh, kw], data: weight },
    [`${name}.bias`]: { shape: [outputs], data: Float32Array.from(beta, (b, o) => b - gain[o] * mean[o]) },
  };
}

function largest(arrays) {
  return Object.values(arrays).reduce((most, { data }) => data.reduce((m, x) => Math.max(m, Math.abs(x)), most), 0);
}
