// Fits sin(2x) by a small network, and asks it for its first and second derivative while it learns.
import { Rng } from "nablaflow/core";
import { asInputs, initialize, linear, linearSpecs, type Params } from "nablaflow/nn";
import { AdamW, warmupCosineRate } from "nablaflow/optim";
import type { Runtime } from "nablaflow/runtime";
import { gradient, input, type Tensor } from "nablaflow/tensor";

const DATA = 64;
const specs = { ...linearSpecs("first", 1, 32), ...linearSpecs("second", 32, 32), ...linearSpecs("out", 32, 1) };

/** x [N, 1] → y [N, 1] */
function network(params: Params, x: Tensor): Tensor {
  const h1 = linear(params, "first", x).tanh(); // [N, 32]
  const h2 = linear(params, "second", h1).tanh(); // [N, 32]
  return linear(params, "out", h2);
}

/** `count` points from −2 to 2, both included. */
export const grid = (count: number) => Float32Array.from({ length: count }, (_, i) => -2 + (4 * i) / (count - 1));

/** What is fitted, and its derivatives. */
export const truth = [
  (x: number) => Math.sin(2 * x),
  (x: number) => 2 * Math.cos(2 * x),
  (x: number) => -4 * Math.sin(2 * x),
] as const;

export interface Fit {
  update: number;
  loss: number;
  /** y, dy/dx and d²y/dx² of the network at `grid(points)`. */
  curves: readonly [Float32Array, Float32Array, Float32Array];
}

/** Trains, and tells how far it is after every `every` updates. */
export async function* fitFunction(
  runtime: Runtime,
  { updates, every, points }: { updates: number; every: number; points: number },
): AsyncGenerator<Fit, void> {
  const weights = initialize(specs, new Rng(0)); // plain Float32Arrays, by name
  const params = asInputs(weights, ""); // inputs of the graph with the same names
  const values = Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [name, data]));
  const names = Object.keys(params);

  // The loss and its gradient by every parameter
  const loss = network(params, input("x", [DATA, 1]))
    .sub(input("target", [DATA, 1]))
    .square()
    .mean();
  const gradients = gradient(loss, Object.values(params));
  const training = await runtime.compile({
    loss,
    ...Object.fromEntries(names.map((name, k) => [`grad/${name}`, gradients[k]!])),
  });

  // The network and its slope by x: y[n] hangs on x[n] alone, so the gradient of Σ y is dy/dx at every point
  const at = input("x", [points, 1]);
  const y = network(params, at);
  const [dy] = gradient(y.sum(), [at]);
  const [ddy] = gradient(dy!.sum(), [at]);
  const drawing = await runtime.compile({ y, dy: dy!, ddy: ddy! });

  try {
    const optimizer = new AdamW();
    const rate = warmupCosineRate(0.01, updates, 20);
    const data = { x: grid(DATA), target: grid(DATA).map(truth[0]) };
    for (let update = 1; update <= updates; update++) {
      const results = await training.run({ ...values, ...data });
      const slopes = names.map((name) => [name, { shape: weights[name]!.shape, data: results[`grad/${name}`]! }]);
      optimizer.step(weights, Object.fromEntries(slopes), rate(update - 1)); // changes the arrays in place
      if (update % every !== 0 && update !== updates) continue;
      const drawn = await drawing.run({ ...values, x: grid(points) });
      const curves = [drawn.y!.slice(), drawn.dy!.slice(), drawn.ddy!.slice()] as const;
      yield { update, loss: results.loss![0]!, curves };
    }
  } finally {
    await training.release();
    await drawing.release();
  }
}
