import { defineOperator } from "../operator.ts";
import type { Shape } from "../shapes.ts";

const samples = () => [{ inputs: [{ shape: [3, 5] }] }, { inputs: [{ shape: [2, 2, 4], low: -4, high: 4 }] }];

function logSoftmaxRows(data: Float64Array, shape: Shape): Float64Array {
  const length = shape[shape.length - 1]!;
  const out = new Float64Array(data.length);
  for (let start = 0; start < data.length; start += length) {
    const row = data.subarray(start, start + length);
    const top = row.reduce((p, q) => Math.max(p, q), -Infinity);
    let sum = 0;
    for (const v of row) sum += Math.exp(v - top);
    for (let i = 0; i < length; i++) out[start + i] = row[i]! - top - Math.log(sum);
  }
  return out;
}

defineOperator({
  name: "softmax",
  shape: ([x]) => x!.shape,
  reference: ([x]) => logSoftmaxRows(x!.data, x!.shape).map(Math.exp),
  // dx = y·(v − Σ v·y)
  vjp: ({ output: y }, v) => [y.mul(v.sub(v.mul(y).sum([-1], true)))],
  emit: (e, inputs) => e.node("Softmax", inputs, { axis: -1 }),
  samples,
});

defineOperator({
  name: "logSoftmax",
  shape: ([x]) => x!.shape,
  reference: ([x]) => logSoftmaxRows(x!.data, x!.shape),
  // dx = v − softmax(x)·Σ v
  vjp: ({ inputs: [x] }, v) => [v.sub(x!.softmax().mul(v.sum([-1], true)))],
  emit: (e, inputs) => e.node("LogSoftmax", inputs, { axis: -1 }),
  samples,
});
