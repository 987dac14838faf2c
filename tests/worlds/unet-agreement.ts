import { Rng } from "../../src/core/index.ts";
import { parseUNetConfig, unet, unetSpecs } from "../../src/models/unet.ts";
import { asInputs, initialize } from "../../src/nn/index.ts";
import { type NodeProvider, nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { input, vjp } from "../../src/tensor/index.ts";
import { tinyUNet } from "./tiny-unet.ts";

const config = parseUNetConfig(tinyUNet);

/**
 * Output of a reduced U-Net and its gradient by x, the text and every parameter, on a provider and on the CPU: the largest
 * difference of each, relative to the largest value of the array.
 */
export async function unetAgreement(provider: NodeProvider): Promise<Record<string, number>> {
  const rng = new Rng(3);
  const weights = initialize(unetSpecs(config), rng);
  // Layers that start at zero would hide what stands before them.
  for (const [k, { data }] of Object.values(weights).entries()) {
    for (const [i, z] of rng.normal(data.length, { purpose: "test", sample: k }).entries()) data[i]! += 0.1 * z;
  }
  const params = asInputs(weights, "");
  const x = input("x", [2, 2, 4, 4]);
  const text = input("text", [2, 5, 3]);
  const y = unet(params, config, x, input("t", [2]), text);
  const wanted = { x, text, ...params };
  const slopes = vjp([y], [input("cotangent", y.shape)], Object.values(wanted));
  const outputs = { y, ...Object.fromEntries(Object.keys(wanted).map((name, k) => [`d ${name}`, slopes[k]!])) };
  const drawn = (size: number, step: number) => rng.normal(size, { purpose: "test", sample: 1000, step });
  const feeds = {
    ...Object.fromEntries(Object.entries(weights).map(([name, { data }]) => [name, data])),
    x: drawn(64, 0),
    text: drawn(30, 1),
    cotangent: drawn(64, 2),
    t: Float32Array.of(10, 700),
  };
  const runOn = async (runtime: Runtime) => {
    const program = await runtime.compile(outputs);
    const results = structuredClone(await program.run(feeds));
    await program.release();
    return results;
  };
  const expected = await runOn(nodeRuntime({ threads: 1 }));
  const found = await runOn(nodeRuntime({ threads: 1, provider }));
  return Object.fromEntries(Object.keys(outputs).map((name) => [name, difference(found[name]!, expected[name]!)]));
}

/** max |a − b| / max |b| */
function difference(a: Float32Array, b: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((m, v) => Math.max(m, Math.abs(v)), 0); // NaN stays NaN
  return largest(a.map((v, k) => v - b[k]!)) / largest(b);
}
