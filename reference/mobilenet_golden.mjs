// Makes tests/golden/mobilenet-v2.safetensors: two pictures [2, 3, 32, 32] in [0, 1] and what nsfwjs' MobileNetV2 gives at
// block_9_add for them, run by TensorFlow.js from the package's own quantised weights: `side224` with the input size of the
// package, `side64` with the same layers on a smaller input.
//
//   npm install --prefix DIR nsfwjs@4.3.0 @tensorflow/tfjs@4.22.0
//   npm run build && node reference/mobilenet_golden.mjs DIR

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { writeSafetensorsFile } from "../dist/weights/index.js";

const OUT = "tests/golden/mobilenet-v2.safetensors";
const SIDE = 32;
const dir = resolve(process.argv[2] ?? ".");
const require = createRequire(join(dir, "package.json"));
const tf = require("@tensorflow/tfjs");
const bundle = join(dir, "node_modules/nsfwjs/dist/models/mobilenet_v2");
const versionOf = (name) => JSON.parse(readFileSync(join(dir, "node_modules", name, "package.json"), "utf8")).version;

const { modelTopology, weightsManifest } = require(join(bundle, "model.min.js"));
const [{ paths, weights: weightSpecs }] = weightsManifest;
const bytes = Buffer.concat(paths.map((path) => Buffer.from(require(join(bundle, `${path}.min.js`)), "base64")));
const weightData = new Uint8Array(bytes).buffer;

/** Two discs on a slope of colour, and noise. Rounded, so that every machine makes the same. */
const pictures = Float32Array.from({ length: 2 * 3 * SIDE * SIDE }, (_, at) => {
  const [picture, channel] = [Math.floor(at / (3 * SIDE * SIDE)), Math.floor(at / (SIDE * SIDE)) % 3];
  const [y, x] = [Math.floor(at / SIDE) % SIDE, at % SIDE];
  if (picture === 1) return (((at * 2654435761) % 2 ** 32) >>> 24) / 255;
  if ((x - 12) ** 2 + (y - 13) ** 2 < 60) return [0.9, 0.5, 0.1][channel];
  if ((x - 22) ** 2 + (y - 20) ** 2 < 30) return [0.1, 0.1, 0.15][channel];
  return [x, y, SIDE - 1 - x][channel] / (SIDE - 1);
});

const arrays = { pictures: { shape: [2, 3, SIDE, SIDE], data: pictures } };
for (const side of [224, 64]) {
  const topology = structuredClone(modelTopology);
  topology.model_config.config.layers[0].config.batch_input_shape = [null, side, side, 3];
  // The head behind the features fits 224 alone: keep what leads to block_9_add.
  const config = topology.model_config.config;
  config.layers = config.layers.slice(0, config.layers.findIndex(({ name }) => name === "block_9_add") + 1);
  config.output_layers = [["block_9_add", 0, 0]];
  const model = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology: topology, weightSpecs, weightData }), {
    strict: false,
  });
  const channelsLast = tf.tensor(pictures, [2, 3, SIDE, SIDE]).transpose([0, 2, 3, 1]);
  const output = model
    .predict(tf.image.resizeBilinear(channelsLast, [side, side], false, true))
    .transpose([0, 3, 1, 2]);
  arrays[`side${side}`] = { shape: output.shape, data: Float32Array.from(await output.data()) };
}
await writeSafetensorsFile(OUT, arrays, {
  nsfwjs: versionOf("nsfwjs"),
  "@tensorflow/tfjs": versionOf("@tensorflow/tfjs"),
});
