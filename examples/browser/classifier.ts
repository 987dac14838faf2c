// Trains a classifier that tells two interleaved spirals apart.
import { Rng } from "nablaflow/core";
import { asInputs, initialize, linear, linearSpecs, type Params } from "nablaflow/nn";
import { AdamW, clipGradNorm, warmupCosineRate } from "nablaflow/optim";
import type { Runtime } from "nablaflow/runtime";
import { gradient, input, oneHot, type Tensor } from "nablaflow/tensor";

const BATCH = 64;
const POINTS = 400;
const specs = { ...linearSpecs("first", 2, 48), ...linearSpecs("second", 48, 48), ...linearSpecs("out", 48, 2) };

/** Points [N, 2] → logits [N, 2] */
function network(params: Params, points: Tensor): Tensor {
  const h1 = linear(params, "first", points.mul(3)).silu(); // [N, 48]
  const h2 = linear(params, "second", h1).silu(); // [N, 48]
  return linear(params, "out", h2);
}

/** Mean of −log p(label): logits [N, 2], labels int32 [N] → [] */
const crossEntropy = (logits: Tensor, labels: Tensor) =>
  logits.logSoftmax().mul(oneHot(labels, 2)).sum([1]).neg().mean();

export interface Labelled {
  /** [n, 2] */
  points: Float32Array;
  labels: Int32Array;
}

/** Points of two spirals, one turned by half a circle against the other; each set is a sample of its own. */
function spirals(rng: Rng, set: number): Labelled {
  const along = rng.uniform(POINTS, { purpose: "data", sample: set });
  const noise = rng.normal(2 * POINTS, { purpose: "data", sample: set, step: 1 });
  const labels = Int32Array.from({ length: POINTS }, (_, n) => n % 2);
  const points = Float32Array.from({ length: 2 * POINTS }, (_, i) => {
    const n = i >> 1;
    const radius = Math.sqrt(along[n]!); // evenly along the arm
    const angle = 3 * Math.PI * radius + Math.PI * labels[n]!;
    return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle)) + 0.02 * noise[i]!;
  });
  return { points, labels };
}

const rng = new Rng(0);
const seen = spirals(rng, 0);
/** Points that training never sees. */
export const unseen = spirals(rng, 1);

export interface Progress {
  update: number;
  loss: number;
  /** Share of `unseen` whose larger logit is that of its label. */
  accuracy: number;
  /** Probability of the second spiral on a square map from −1.1 to 1.1, row by row from the top, [side·side]. */
  map: Float32Array;
}

/** Trains, and tells how far it is after every `every` updates. */
export async function* trainClassifier(
  runtime: Runtime,
  { updates, every, side }: { updates: number; every: number; side: number },
): AsyncGenerator<Progress, void> {
  const weights = initialize(specs, rng);
  const params = asInputs(weights, "");
  const values = Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [name, data]));
  const names = Object.keys(params);

  const loss = crossEntropy(network(params, input("points", [BATCH, 2])), input("labels", [BATCH], "int32"));
  const gradients = gradient(loss, Object.values(params));
  const training = await runtime.compile({
    loss,
    ...Object.fromEntries(names.map((name, k) => [`grad/${name}`, gradients[k]!])),
  });
  // The same function and weights on other points: the unseen ones and those of the map
  const share = (count: number) =>
    network(params, input("points", [count, 2]))
      .softmax()
      .slice(1, 1, 2)
      .reshape([count]);
  const testing = await runtime.compile({ share: share(POINTS) });
  const mapping = await runtime.compile({ share: share(side * side) });
  const at = (k: number) => (2.2 * k) / (side - 1) - 1.1;
  const places = Float32Array.from({ length: 2 * side * side }, (_, i) =>
    i % 2 === 0 ? at((i >> 1) % side) : -at(Math.floor((i >> 1) / side)),
  );

  try {
    const optimizer = new AdamW({ weightDecay: 0.01 });
    const rate = warmupCosineRate(0.01, updates, 50);
    for (let update = 1; update <= updates; update++) {
      const chosen = rng.integers(BATCH, POINTS, { purpose: "data", sample: 2, step: update });
      const points = Float32Array.from({ length: 2 * BATCH }, (_, i) => seen.points[2 * chosen[i >> 1]! + (i % 2)]!);
      const results = await training.run({ ...values, points, labels: chosen.map((n) => seen.labels[n]!) });
      const slopes = Object.fromEntries(
        names.map((name) => [name, { shape: weights[name]!.shape, data: results[`grad/${name}`]! }]),
      );
      clipGradNorm(slopes, 1);
      optimizer.step(weights, slopes, rate(update - 1));
      if (update % every !== 0 && update !== updates) continue;
      const told = (await testing.run({ ...values, points: unseen.points })).share!;
      const right = told.reduce((n, p, k) => n + Number(Number(p > 0.5) === unseen.labels[k]), 0);
      const map = (await mapping.run({ ...values, points: places })).share!.slice();
      yield { update, loss: results.loss![0]!, accuracy: right / POINTS, map };
    }
  } finally {
    for (const program of [training, testing, mapping]) await program.release();
  }
}
