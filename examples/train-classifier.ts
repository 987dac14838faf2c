// Trains a classifier that tells two interleaved spirals apart, and draws what it learnt.
//   node examples/train-classifier.ts         (Node 22.18 or newer)
import { pathToFileURL } from "node:url";
import { Rng } from "nablaflow/core";
import { asInputs, initialize, linear, linearSpecs, type Params } from "nablaflow/nn";
import { AdamW, clipGradNorm, warmupCosineRate } from "nablaflow/optim";
import { nodeRuntime } from "nablaflow/runtime/node";
import { gradient, input, oneHot, type Tensor } from "nablaflow/tensor";

const BATCH = 64;
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

/** Share of points whose larger logit is that of their label. */
const accuracy = (logits: Tensor, labels: Tensor) =>
  logits
    .slice(1, 1, 2)
    .greater(logits.slice(1, 0, 1))
    .reshape(labels.shape)
    .equal(labels.cast("float32"))
    .mean();

/** `count` points of two spirals, one turned by half a circle against the other; each set is a sample of its own. */
function spirals(count: number, rng: Rng, set: number) {
  const along = rng.uniform(count, { purpose: "data", sample: set });
  const noise = rng.normal(2 * count, { purpose: "data", sample: set, step: 1 });
  const labels = Int32Array.from({ length: count }, (_, n) => n % 2);
  const points = Float32Array.from({ length: 2 * count }, (_, i) => {
    const n = i >> 1;
    const radius = Math.sqrt(along[n]!); // evenly along the arm
    const angle = 3 * Math.PI * radius + Math.PI * labels[n]!;
    return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle)) + 0.02 * noise[i]!;
  });
  return { points, labels };
}

/** Returns the accuracy on points that training never sees. */
export async function trainClassifier(updates = 1500, log: (line: string) => void = console.log): Promise<number> {
  const runtime = nodeRuntime({ threads: 1 });
  const rng = new Rng(0);
  const seen = spirals(400, rng, 0);
  const unseen = spirals(400, rng, 1);
  const weights = initialize(specs, rng);
  const params = asInputs(weights, "");
  const values = Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [name, data]));

  const logits = network(params, input("points", [BATCH, 2]));
  const loss = crossEntropy(logits, input("labels", [BATCH], "int32"));
  const names = Object.keys(params);
  const gradients = gradient(loss, Object.values(params));
  const program = await runtime.compile({
    loss,
    ...Object.fromEntries(names.map((name, k) => [`grad/${name}`, gradients[k]!])),
  });

  const optimizer = new AdamW({ weightDecay: 0.01 });
  const rate = warmupCosineRate(0.01, updates, 50);
  for (let update = 0; update < updates; update++) {
    const chosen = rng.integers(BATCH, 400, { purpose: "data", sample: 2, step: update });
    const points = Float32Array.from({ length: 2 * BATCH }, (_, i) => seen.points[2 * chosen[i >> 1]! + (i % 2)]!);
    const labels = chosen.map((n) => seen.labels[n]!);
    const results = await program.run({ ...values, points, labels });
    const slopes = Object.fromEntries(
      names.map((name) => [name, { shape: weights[name]!.shape, data: results[`grad/${name}`]! }]),
    );
    clipGradNorm(slopes, 1);
    optimizer.step(weights, slopes, rate(update));
    if (update % 300 === 0) log(`update ${update}  loss ${results.loss![0]!.toFixed(3)}`);
  }
  await program.release();

  // The same function and weights at two other sizes: two more programs
  const test = await runtime.compile({
    accuracy: accuracy(network(params, input("points", [400, 2])), input("labels", [400], "int32")),
  });
  const right = (await test.run({ ...values, ...unseen })).accuracy![0]!;
  await test.release();

  const [columns, rows] = [56, 26];
  const drawn = await runtime.compile({ logits: network(params, input("points", [columns * rows, 2])) });
  const cells = Array.from({ length: rows * columns }, (_, i) => [
    (2.2 * (i % columns)) / (columns - 1) - 1.1,
    1.1 - (2.2 * Math.floor(i / columns)) / (rows - 1),
  ]);
  const map = (await drawn.run({ ...values, points: Float32Array.from(cells.flat()) })).logits!;
  const marks = cells.map((_, i) => (map[2 * i + 1]! > map[2 * i]! ? "#" : "·"));
  for (let row = 0; row < rows; row++) log(marks.slice(row * columns, (row + 1) * columns).join(""));
  await drawn.release();

  log(`accuracy on 400 unseen points ${(100 * right).toFixed(1)} %`);
  return right;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await trainClassifier();
