import { arithmeticDtype } from "../dtypes.ts";
import { defineOperator, type OperatorNode, type OperatorSample } from "../operator.ts";
import { broadcastShapes, type Shape, sameShape, sizeOf, stridesOf } from "../shapes.ts";
import type { Tensor } from "../tensor.ts";

/** Sums `x` down to `shape`, undoing NumPy broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (x.dtype === "float16") return sumTo(x.cast("float32"), shape).cast("float16");
  const lead = x.rank - shape.length;
  const axes: number[] = [];
  for (let axis = 0; axis < x.rank; axis++) {
    if (axis < lead || (shape[axis - lead] === 1 && x.shape[axis] !== 1)) axes.push(axis);
  }
  const summed = axes.length > 0 ? x.sum(axes, true) : x;
  return summed.reshape(shape);
}

/** Strides of an operand viewed in the broadcast shape: 0 along repeated axes. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = stridesOf(from);
  const lead = to.length - from.length;
  return to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : own[axis - lead]!));
}

/** Calls `visit(outIndex, aIndex, bIndex)` for each element of `shape`. */
export function eachPair(shape: Shape, a: Shape, b: Shape, visit: (o: number, i: number, j: number) => void): void {
  const strideA = broadcastStrides(a, shape);
  const strideB = broadcastStrides(b, shape);
  const position = new Array<number>(shape.length).fill(0);
  let i = 0;
  let j = 0;
  for (let o = 0, n = sizeOf(shape); o < n; o++) {
    visit(o, i, j);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis]!++;
      i += strideA[axis]!;
      j += strideB[axis]!;
      if (position[axis]! < shape[axis]!) break;
      i -= strideA[axis]! * shape[axis]!;
      j -= strideB[axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
}

type Range = Omit<OperatorSample["inputs"][number], "shape">;
/** Values of the two operands that keep a distance from each other, for operators that jump where they are equal. */
export const apart: readonly [Range, Range] = [
  { low: -2, spaced: 0.25 },
  { low: -1.875, spaced: 0.25 },
];

/** Shapes that broadcast in every way, with values from two ranges; and integers. */
export function pairSamples([rangeA, rangeB]: readonly [Range, Range], integers: boolean): OperatorSample[] {
  const pair = (a: Shape, b: Shape, [forA, forB] = [rangeA, rangeB]): OperatorSample => ({
    inputs: [
      { shape: a, ...forA },
      { shape: b, ...forB },
    ],
  });
  return [
    pair([3, 4], [3, 4]),
    pair([2, 3, 4], [4]),
    pair([2, 1, 3], [4, 1]),
    pair([], [5]),
    ...(integers ? [pair([2, 3], [3], [{ integers: 5 }, { integers: 5 }])] : []),
  ];
}

type Partial = (node: OperatorNode, cotangent: Tensor) => Tensor | null;

function defineBinary(
  name: string,
  onnx: string,
  f: (a: number, b: number) => number,
  da: Partial,
  db: Partial,
  ranges: readonly [Range, Range] = [{}, {}],
  { integers }: { integers: boolean } = { integers: true },
): void {
  defineOperator({
    name,
    ...(integers && { dtype: (inputs: readonly Tensor[]) => arithmeticDtype(name, inputs) }),
    shape: ([a, b]) => broadcastShapes(name, a!.shape, b!.shape),
    reference([a, b], _, shape) {
      const out = new Float64Array(sizeOf(shape));
      eachPair(shape, a!.shape, b!.shape, (o, i, j) => {
        out[o] = f(a!.data[i]!, b!.data[j]!);
      });
      return out;
    },
    vjp(node, cotangent) {
      const [a, b] = node.inputs as [Tensor, Tensor];
      const forA = da(node, cotangent);
      const forB = db(node, cotangent);
      return [forA && sumTo(forA, a.shape), forB && sumTo(forB, b.shape)];
    },
    emit: (e, inputs) => e.node(onnx, inputs),
    samples: () => pairSamples(ranges, integers),
  });
}

const a = (n: OperatorNode) => n.inputs[0]!;
const b = (n: OperatorNode) => n.inputs[1]!;

defineBinary(
  "add",
  "Add",
  (x, y) => x + y,
  (_, v) => v,
  (_, v) => v,
);
defineBinary(
  "sub",
  "Sub",
  (x, y) => x - y,
  (_, v) => v,
  (_, v) => v.neg(),
);
defineBinary(
  "mul",
  "Mul",
  (x, y) => x * y,
  (n, v) => v.mul(b(n)),
  (n, v) => v.mul(a(n)),
);
// d(a/b) = da/b − (a/b) db/b
defineBinary(
  "div",
  "Div",
  (x, y) => x / y,
  (n, v) => v.div(b(n)),
  (n, v) => v.mul(n.output).div(b(n)).neg(),
  [
    { low: 0.5, high: 2 },
    { low: 0.5, high: 2 },
  ],
  { integers: false }, // the quotient of integers would be cut towards zero
);
// Where both are equal the gradient goes to the second operand.
defineBinary(
  "maximum",
  "Max",
  (x, y) => Math.max(x, y),
  (n, v) => v.mul(a(n).greater(b(n))),
  (n, v) => v.mul(b(n).greaterEqual(a(n))),
  apart,
);
defineBinary(
  "minimum",
  "Min",
  (x, y) => Math.min(x, y),
  (n, v) => v.mul(b(n).greater(a(n))),
  (n, v) => v.mul(a(n).greaterEqual(b(n))),
  apart,
);
