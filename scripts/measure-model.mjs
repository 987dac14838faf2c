// Measures a text-to-image model of animals against the drawings it was trained on, and prints what its card states.
//   npm run build && node scripts/measure-model.mjs [FOLDER] [IMAGES_PER_PROMPT]
// Prompt agreement; diversity against augmented drawings; and near copies: how many samples are nearer to one drawing of
// their animal, under the best alignment, than two augmentations of one drawing typically are to each other.

import { assetPath } from "../dist/core/package-root.js";
import { Rng } from "../dist/core/rng.js";
import { AUGMENT_UNIFORMS, augment, drawOn } from "../dist/data/augment.js";
import { defaultAugmentation, loadPictures, readPromptFile, splitOf } from "../dist/data/index.js";
import { measureModel, openJudges } from "../dist/evaluate/index.js";
import { bundledModel, openModel } from "../dist/evaluate/open-model.js";
import { diversity } from "../dist/metrics/index.js";
import { asConstants } from "../dist/nn/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { input } from "../dist/tensor/index.js";

const SIZE = 3 * 32 * 32;
const SEED = 1000;
const [folder = bundledModel, perPrompt = "16"] = process.argv.slice(2);
const images = Number(perPrompt);
const prompts = await readPromptFile("configs/prompts/animals.txt");
const { parts, config } = await openModel(folder, { prompts });
const runtime = nodeRuntime({ threads: config.train.threads });
const judges = await openJudges(runtime, parts.model, config.train.block);
const pictures = await loadPictures(assetPath("pictures/animals-32"));
const train = splitOf(pictures, "train");
const unseen = splitOf(pictures, "test");
const rng = new Rng(SEED);

const samples = await measureModel(runtime, parts, undefined, {
  imagesPerPrompt: images,
  seed: SEED,
  block: 32,
  judges,
});
const real = await augmentedDrawings(train, 0);
const held = await augmentedDrawings(unseen, 1);
const share = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

console.log(`${folder}: ${prompts.length} prompts, ${images} samples each, seed ${SEED}`);
console.log(
  `prompt agreement   samples ${samples.summary.promptAgreement.toFixed(3)}, augmented drawings ${share(real.agreement).toFixed(3)}, drawings of unseen makers ${share(held.agreement).toFixed(3)}`,
);
const own = samples.summary.diversity / real.diversity;
console.log(
  `diversity          samples ${samples.summary.diversity.toFixed(3)}, augmented drawings ${real.diversity.toFixed(3)}: ${own.toFixed(2)} of it`,
);
const other = samples.summary.diversityThirdParty / real.diversityThirdParty;
console.log(
  `  MobileNetV2      samples ${samples.summary.diversityThirdParty.toFixed(3)}, augmented drawings ${real.diversityThirdParty.toFixed(3)}: ${other.toFixed(2)} of it`,
);

// Half of the augmented drawings lie within `typical` of another rendering of the same drawing.
const toOwn = real.of.map((picture, k) => nearest(real.images, k, [picture]));
const typical = [...toOwn].sort((a, b) => a - b)[toOwn.length >> 1];
const within = (data, count, animalOf) => {
  const distances = Array.from({ length: count }, (_, k) => nearest(data, k, drawingsOf(train, animalOf(k))));
  return `${(100 * share(distances.map((d) => (d < typical ? 1 : 0)))).toFixed(1)} % (median distance ${[...distances].sort((a, b) => a - b)[count >> 1].toFixed(3)})`;
};
console.log(`near copies        within ${typical.toFixed(3)} RMS of a training drawing:`);
console.log(
  `  samples              ${within(samples.images, samples.prompts.length, (k) => animal(samples.prompts[k]))}`,
);
console.log(`  augmented drawings   ${within(real.images, real.of.length, (k) => real.of[k].animal)}`);
console.log(`  unseen makers        ${within(held.images, held.of.length, (k) => held.of[k].animal)}`);
const worst = prompts.map((prompt) => {
  const of = samples.prompts.flatMap((p, k) => (p === prompt ? [samples.agreement[k]] : []));
  return [animal(prompt), share(of)];
});
worst.sort((a, b) => b[1] - a[1]);
console.log(`agreement by animal  ${worst.map(([name, value]) => `${name} ${value.toFixed(2)}`).join(", ")}`);
console.log(`forward pass       ${(await forwardMs(parts.model)).toFixed(2)} ms a picture, batch 32, no guidance`);

function animal(prompt) {
  return prompt.replace(/^an? /, "");
}

function drawingsOf(set, name) {
  return set.pictures.filter((picture) => picture.animal === name);
}

/** As many augmented drawings of each animal as there are samples, measured as samples are. */
async function augmentedDrawings(set, step) {
  const of = prompts.flatMap((prompt) => {
    const drawings = drawingsOf(set, animal(prompt));
    return Array.from({ length: images }, (_, k) => drawings[k % drawings.length]);
  });
  const data = new Float32Array(of.length * SIZE);
  of.forEach((picture, k) => {
    augment(picture, rng.uniform(AUGMENT_UNIFORMS, { purpose: "metric", sample: k, step }), data, k * SIZE);
  });
  const named = prompts.flatMap((prompt) => new Array(images).fill(prompt));
  const features = { ...(await judges.features(data)), prompts: named };
  const third = { ...(await judges.thirdPartyFeatures(data)), prompts: named };
  return {
    of,
    images: data,
    diversity: diversity(features).value,
    diversityThirdParty: diversity(third).value,
    agreement: await judges.agreement(data, named),
  };
}

/** Least RMS distance of picture k to a rendering of one of the drawings on its own ground, over flips, sizes and places. */
function nearest(data, k, drawings) {
  const picture = data.subarray(k * SIZE, (k + 1) * SIZE);
  const rgb = [0, 1, 2].map((channel) => rimMedian(picture, channel));
  const rendered = new Float32Array(SIZE);
  let best = Infinity;
  for (const drawing of drawings) {
    for (const flip of [0, 1]) {
      for (const scale of [0, 0.5, 1]) {
        for (const x of [0, 0.5, 1]) {
          for (const y of [0, 0.5, 1]) {
            const ground = { rgb, slopeX: 0, slopeY: 0 };
            drawOn(drawing, [flip, scale, x, y, 0.5, 0.5, 0.5, 0.5], ground, rendered, 0, defaultAugmentation);
            let squares = 0;
            const least = best * best * SIZE;
            for (let i = 0; i < SIZE && squares < least; i++) squares += (rendered[i] - picture[i]) ** 2;
            best = Math.min(best, Math.sqrt(squares / SIZE));
          }
        }
      }
    }
  }
  return best;
}

function rimMedian(picture, channel) {
  const rim = [];
  for (let i = 0; i < 32; i++) {
    for (const [y, x] of [
      [0, i],
      [31, i],
      [i, 0],
      [i, 31],
    ])
      rim.push(picture[channel * 1024 + y * 32 + x]);
  }
  return rim.sort((a, b) => a - b)[rim.length >> 1];
}

/** Median of 40 passes of the network with constant weights. */
async function forwardMs(model) {
  const batch = 32;
  const [x, t] = [input("x", [batch, ...model.shape]), input("t", [batch])];
  const text = input("text", [batch, ...model.conditionShapes.text]);
  const program = await runtime.compile({ out: model.predict(asConstants(model.weights), x, { t }, { text }) });
  const feeds = Object.fromEntries([x, t, text].map((v) => [v.attrs.name, new Float32Array(v.size).fill(0.1)]));
  const times = [];
  for (let k = 0; k < 40; k++) {
    const started = performance.now();
    await program.run(feeds);
    times.push((performance.now() - started) / batch);
  }
  await program.release();
  return times.sort((a, b) => a - b)[20];
}
