import { type Attrs, defineOperator, type ReferenceArray } from "../operator.ts";
import { eachLine } from "../shapes.ts";

const samples = () => [
  { inputs: [{ shape: [3, 5] }], attrs: { axis: 1 } },
  { inputs: [{ shape: [2, 2, 4], low: -4, high: 4 }], attrs: { axis: 2 } },
  { inputs: [{ shape: [2, 3, 2] }], attrs: { axis: 1 } },
];
const axisOf = (attrs: Attrs) => attrs.axis as number;

function logSoftmax({ data, shape }: ReferenceArray, axis: number): Float64Array {
  const out = new Float64Array(data.length);
  const length = shape[axis]!;
  eachLine(shape, axis, (start, stride) => {
    let top = -Infinity;
    for (let k = 0; k < length; k++) top = Math.max(top, data[start + k * stride]!);
    let sum = 0;
    for (let k = 0; k < length; k++) sum += Math.exp(data[start + k * stride]! - top);
    for (let k = 0; k < length; k++) out[start + k * stride] = data[start + k * stride]! - top - Math.log(sum);
  });
  return out;
}

defineOperator({
  name: "softmax",
  shape: ([x]) => x!.shape,
  reference: ([x], attrs) => logSoftmax(x!, axisOf(attrs)).map(Math.exp),
  // dx = y·(v − Σ v·y)
  vjp: ({ output: y, attrs }, v) => [y.mul(v.sub(v.mul(y).sum([axisOf(attrs)], true)))],
  emit: (e, inputs, { attrs }) => e.node("Softmax", inputs, { axis: axisOf(attrs) }),
  samples,
});

defineOperator({
  name: "logSoftmax",
  shape: ([x]) => x!.shape,
  reference: ([x], attrs) => logSoftmax(x!, axisOf(attrs)),
  // dx = v − softmax(x)·Σ v
  vjp: ({ inputs: [x], attrs }, v) => [v.sub(x!.softmax(axisOf(attrs)).mul(v.sum([axisOf(attrs)], true)))],
  emit: (e, inputs, { attrs }) => e.node("LogSoftmax", inputs, { axis: axisOf(attrs) }),
  samples,
});
