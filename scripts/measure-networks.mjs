// Measures the four small networks, bundled or in other folders, and prints what their cards state.
//   npm run build && node scripts/measure-networks.mjs [NAME=DIR …]     NAME: style-score, prompt-score, agreement, features
import { readConfigFile } from "../dist/core/config.js";
import { assetPath } from "../dist/core/package-root.js";
import { loadPictures, plainClassifierAugmentation as plain, splitOf } from "../dist/data/index.js";
import { classAccuracy } from "../dist/evaluate/class-test.js";
import { testStyleScore } from "../dist/evaluate/style-test.js";
import { convnet } from "../dist/models/convnet.js";
import { loadConvnet } from "../dist/models/convnet-folder.js";
import { asConstants } from "../dist/nn/index.js";
import { styleScore } from "../dist/rewards/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { openConvnet, openPictureProgram } from "../dist/sample/picture-networks.js";
import { fill, gradient, input } from "../dist/tensor/index.js";
import { resolvePretrainConfig } from "../dist/train/pretrain-config.js";

const BLOCK = 64;
const SEED = 90210; // no training uses it
const { heldOutAnimals } = resolvePretrainConfig(await readConfigFile("configs/style-score.yaml"), [], "style-score");
const isHeldOut = ({ animal }) => heldOutAnimals.includes(animal);

const given = process.argv.slice(2).map((argument) => argument.split("="));
const names = ["style-score", "prompt-score", "agreement", "features"];
const chosen =
  given.length > 0 ? Object.fromEntries(given) : Object.fromEntries(names.map((n) => [n, assetPath(`models/${n}`)]));

const pictures = await loadPictures(assetPath("pictures/animals-32"));
const train = splitOf(pictures, "train");
const test = splitOf(pictures, "test");
const only = (set, keep) => ({ ...set, pictures: set.pictures.filter(keep) });
const runtime = nodeRuntime({ threads: 1 });

for (const [name, path] of Object.entries(chosen)) {
  const loaded = await loadConvnet(path);
  console.log(`\n${name} (${path})`);
  const count = Object.values(loaded.weights).reduce((n, { data }) => n + data.length, 0);
  console.log(`  parameters ${count}`);
  await timing(loaded);
  if (name === "style-score") await style(path);
  const network = await openConvnet(runtime, loaded, BLOCK);
  for (const [head, classes] of Object.entries(loaded.config.heads)) {
    const accuracy = (set, augmentation, n = 2048) =>
      classAccuracy(network, head, classes, set, { seed: SEED, n, augmentation });
    const line = [["training styles", await accuracy(train, plain)]];
    line.push(["softened", await accuracy(train, { ...plain, softShare: 1, softStd: 1 })]);
    if (head !== "style") line.push(["unseen styles", await accuracy(test, plain)]);
    if (head === "style") {
      line.push(["held-out animals", await accuracy(only(train, isHeldOut), plain)]);
    }
    console.log(`  ${head}: ${line.map(([what, share]) => `${what} ${share.toFixed(3)}`).join(", ")}`);
  }
  await network.release();
}

function isGlossyOrUnseen({ style }) {
  return pictures.styles[style].style === "fluent-emoji" || pictures.styles[style].split === "test";
}

async function style(path) {
  const reward = await styleScore({ path }).load();
  const build = (images) => ({ score: reward.score({ images, prompts: fill([BLOCK, 1], 0) }) });
  const program = await openPictureProgram(runtime, build, 32, BLOCK);
  const score = async (images) => (await program.run(images)).score;
  for (const [what, set] of [
    ["held-out animals", only(train, isHeldOut)],
    ["held-out animals against unseen families", only(pictures, (p) => isHeldOut(p) && isGlossyOrUnseen(p))],
    ["all animals", train],
  ]) {
    const { change, ...rest } = await testStyleScore(score, set, ["fluent-emoji"], {
      seed: SEED,
      augmented: 2048,
    });
    console.log(`  ${what}: ${show(rest)}; change / gap: ${show(change)}`);
  }
  await program.release();
}

async function timing({ config, weights }) {
  const images = input("images", [BLOCK, 3, config.side, config.side]);
  const { logits } = convnet(asConstants(weights), config, images);
  const first = Object.values(logits)[0];
  const forward = await runtime.compile({ first });
  const both = await runtime.compile({ first, slope: gradient(first.sum(), [images])[0] });
  const feeds = { images: new Float32Array(images.size).fill(0.5) };
  for (const [what, program] of [
    ["forward", forward],
    ["forward and gradient", both],
  ]) {
    const times = [];
    for (let k = 0; k < 12; k++) {
      const start = performance.now();
      await program.run(feeds);
      times.push((performance.now() - start) / BLOCK);
    }
    console.log(`  ${what} ${times.sort((a, b) => a - b)[2].toFixed(3)} ms per picture, 1 thread, blocks of ${BLOCK}`);
    await program.release();
  }
}

function show(values) {
  return Object.entries(values)
    .map(([key, value]) => `${key} ${value.toFixed(3)}`)
    .join(", ");
}
