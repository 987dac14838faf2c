// Fits sin(2x) by a small network, then asks the network for its first and second derivative.
//   node examples/fit-function.ts         (Node 22.18 or newer)
import { pathToFileURL } from "node:url";
import { Rng } from "nablaflow/core";
import { asInputs, initialize, linear, linearSpecs, type Params } from "nablaflow/nn";
import { AdamW, warmupCosineRate } from "nablaflow/optim";
import { nodeRuntime } from "nablaflow/runtime/node";
import { gradient, input, type Tensor } from "nablaflow/tensor";

const specs = { ...linearSpecs("first", 1, 32), ...linearSpecs("second", 32, 32), ...linearSpecs("out", 32, 1) };

/** x [N, 1] → y [N, 1] */
function network(params: Params, x: Tensor): Tensor {
  const h1 = linear(params, "first", x).tanh(); // [N, 32]
  const h2 = linear(params, "second", h1).tanh(); // [N, 32]
  return linear(params, "out", h2);
}

/** `count` points from −2 to 2, both included. */
const grid = (count: number) => Float32Array.from({ length: count }, (_, i) => -2 + (4 * i) / (count - 1));

/** At each point the fit and the truth of y, dy/dx and d²y/dx². */
export interface FittedPoint {
  x: number;
  fit: readonly [y: number, dy: number, ddy: number];
  truth: readonly [y: number, dy: number, ddy: number];
}

export async function fitFunction(updates = 2000, log: (line: string) => void = console.log): Promise<FittedPoint[]> {
  const runtime = nodeRuntime({ threads: 1 });
  const weights = initialize(specs, new Rng(0)); // plain Float32Arrays, by name
  const params = asInputs(weights, ""); // inputs of the graph with the same names
  const values = Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [name, data]));

  // 1. A graph: the loss and its gradient by every parameter
  const x = input("x", [64, 1]);
  const target = input("target", [64, 1]);
  const loss = network(params, x).sub(target).square().mean();
  const names = Object.keys(params);
  const gradients = gradient(loss, Object.values(params));

  // 2. A program: the graph compiled, once
  const program = await runtime.compile({
    loss,
    ...Object.fromEntries(names.map((name, k) => [`grad/${name}`, gradients[k]!])),
  });

  // 3. Updates: the program says where downhill is, AdamW changes the arrays of `weights` in place
  const optimizer = new AdamW();
  const rate = warmupCosineRate(0.01, updates, 20);
  const feeds = { ...values, x: grid(64), target: grid(64).map((x) => Math.sin(2 * x)) };
  for (let update = 0; update < updates; update++) {
    const results = await program.run(feeds);
    const slopes = names.map((name) => [name, { shape: weights[name]!.shape, data: results[`grad/${name}`]! }]);
    optimizer.step(weights, Object.fromEntries(slopes), rate(update));
    if (update % 500 === 0) log(`update ${update}  loss ${results.loss![0]!.toExponential(1)}`);
  }
  await program.release();

  // 4. Derivatives by x instead of by the weights: y[n] hangs on x[n] alone, so the gradient of Σ y is dy/dx at every point
  const at = input("x", [9, 1]);
  const y = network(params, at);
  const [dy] = gradient(y.sum(), [at]);
  const [ddy] = gradient(dy!.sum(), [at]);
  const derivatives = await runtime.compile({ y, dy: dy!, ddy: ddy! });
  const fitted = await derivatives.run({ ...values, x: grid(9) });
  const points = [...grid(9)].map((x, n) => ({
    x,
    fit: [fitted.y![n]!, fitted.dy![n]!, fitted.ddy![n]!] as const,
    truth: [Math.sin(2 * x), 2 * Math.cos(2 * x), -4 * Math.sin(2 * x)] as const,
  }));
  await derivatives.release();

  const columns = (numbers: readonly number[]) => numbers.map((v) => v.toFixed(3).padStart(8)).join("");
  log("       x       y   truth   dy/dx   truth d²y/dx²   truth");
  for (const { x, fit, truth } of points) log(columns([x, ...fit.flatMap((value, k) => [value, truth[k]!])]));
  return points;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await fitFunction();
