import type { Attribute } from "./onnx-model.ts";

export type Stored =
  | { floats: readonly number[]; shape?: readonly number[] }
  | { ints: readonly number[]; shape?: readonly number[] }
  | "";

/** One node: operands x0, x1 … that are fed, then stored ones ("" leaves one out). */
export interface OperatorCase {
  op: string;
  opset: number;
  x: readonly (readonly number[])[];
  constants?: readonly Stored[];
  attributes?: Readonly<Record<string, Attribute>>;
  outputs?: number;
  domain?: "com.microsoft";
  /** Range of the fed numbers; [-1.6, 1.6] when omitted. */
  range?: readonly [number, number];
  /** Fed operands that the node gets as "is greater than 0". */
  masks?: readonly number[];
  tolerance?: number;
}

const f = (value: number) => ({ float: value });
const ints = (...values: number[]): Stored => ({ ints: values });
const scalar = (value: number): Stored => ({ floats: [value], shape: [] });
const index = (value: number): Stored => ({ ints: [value], shape: [] });
const ramp = (...shape: number[]): Stored => {
  const n = shape.reduce((p, q) => p * q, 1);
  return { floats: Array.from({ length: n }, (_, k) => Math.sin(k * 2.3 + 1)), shape };
};

const plain = (op: string, opset: number, x: OperatorCase["x"], more: Partial<OperatorCase> = {}): OperatorCase => ({
  op,
  opset,
  x,
  ...more,
});
const withAttributes = (op: string, opset: number, x: readonly number[], ...variants: OperatorCase["attributes"][]) =>
  variants.map((attributes): OperatorCase => ({ op, opset, x: [x], attributes: attributes! }));

const elementwise = [
  ...[
    "Identity",
    "Relu",
    "Sigmoid",
    "Tanh",
    "Erf",
    "Exp",
    "Neg",
    "Abs",
    "Sign",
    "Floor",
    "Ceil",
    "Round",
    "Sin",
    "Cos",
  ],
  ...["Softplus", "Softsign", "Selu", "Elu", "LeakyRelu", "HardSigmoid", "Dropout"],
].map((op) => plain(op, 13, [[2, 5]]));

const activation: OperatorCase[] = [
  ...elementwise,
  ...["Log", "Sqrt", "Reciprocal"].map((op) => plain(op, 13, [[2, 5]], { range: [0.3, 3] })),
  plain("Mish", 18, [[2, 5]]),
  plain("HardSwish", 14, [[2, 5]], { range: [-4, 4] }),
  plain("Gelu", 20, [[2, 5]]),
  plain("Gelu", 20, [[2, 5]], { attributes: { approximate: "tanh" } }),
  plain("Gelu", 1, [[2, 5]], { domain: "com.microsoft", opset: 17 }),
  plain("QuickGelu", 17, [[2, 5]], { domain: "com.microsoft", attributes: { alpha: f(1.702) } }),
  plain("QuickGelu", 17, [[2, 5]], { domain: "com.microsoft", attributes: { alpha: f(1) } }),
  plain("QuickGelu", 17, [[2, 5]], { domain: "com.microsoft", attributes: { alpha: f(0.7) } }),
  ...withAttributes("Elu", 11, [2, 5], { alpha: f(0.4) }),
  ...withAttributes("LeakyRelu", 11, [2, 5], { alpha: f(0.3) }),
  ...withAttributes("HardSigmoid", 11, [2, 5], { alpha: f(0.4), beta: f(0.3) }),
  ...withAttributes("Selu", 11, [2, 5], { alpha: f(1.1), gamma: f(0.7) }),
  plain("PRelu", 16, [[2, 3, 4]], { constants: [{ floats: [0.1, 0.3, -0.4], shape: [3, 1] }] }),
  plain("Clip", 9, [[2, 5]], { attributes: { min: f(-0.5), max: f(0.8) } }),
  plain("Clip", 9, [[2, 5]], { attributes: { min: f(-0.5) } }),
  plain("Clip", 11, [[2, 5]], { constants: [scalar(-0.5), scalar(0.8)] }),
  plain("Clip", 13, [[2, 5]], { constants: ["", scalar(0.8)] }),
  plain("Clip", 13, [[2, 5]]),
];

const arithmetic: OperatorCase[] = [
  ...["Add", "Sub", "Mul"].map((op) =>
    plain(op, 14, [
      [2, 3, 4],
      [3, 1],
    ]),
  ),
  plain("Div", 14, [[2, 3], [3]], { range: [0.4, 2] }),
  plain("Mod", 13, [[2, 3]], { constants: [scalar(0.7)], attributes: { fmod: 1 } }),
  ...[2, 3, 0.5, -1.5].map((p) => plain("Pow", 15, [[2, 3]], { constants: [scalar(p)], range: [0.4, 2] })),
  plain("Pow", 15, [[2, 3]], { constants: [{ floats: [2, 2, 2] }] }),
  ...["Max", "Min", "Sum", "Mean"].map((op) => plain(op, 13, [[2, 3], [3], [2, 1]])),
  plain("Max", 13, [[4]]),
  ...["Equal", "Greater", "Less"].map((op) => plain(op, 13, [[2, 3], [3]])),
  ...["GreaterOrEqual", "LessOrEqual"].map((op) => plain(op, 16, [[2, 3], [3]])),
  ...["And", "Or", "Xor"].map((op) => plain(op, 13, [[2, 3], [3]], { masks: [0, 1] })),
  plain("Not", 13, [[2, 3]], { masks: [0] }),
  plain("IsNaN", 13, [[2, 3]]),
  plain("Where", 16, [[2, 3], [3], [2, 1]], { masks: [0] }),
  ...[1, 6, 7, 9].map((to) => plain("Cast", 13, [[2, 3]], { attributes: { to } })),
];

const reductions: OperatorCase[] = [
  ...["ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"].flatMap((op) => [
    plain(op, 11, [[2, 3, 4]], { attributes: { axes: [-1, 0], keepdims: 0 } }),
    plain(op, 18, [[2, 3, 4]], { constants: [ints(1)] }),
    plain(op, 13, [[2, 3]]),
  ]),
  plain("ReduceSum", 11, [[2, 3, 4]], { attributes: { axes: [1] } }),
  plain("ReduceSum", 13, [[2, 3, 4]], { constants: [ints(-1)], attributes: { keepdims: 0 } }),
  plain("ReduceSum", 13, [[2, 3]], { attributes: { noop_with_empty_axes: 1 } }),
  plain("ReduceLogSum", 13, [[2, 3]], { attributes: { axes: [1] }, range: [0.3, 2] }),
  plain("ReduceLogSumExp", 13, [[2, 3]], { attributes: { axes: [1] } }),
  plain("ArgMax", 13, [[2, 5]], { attributes: { axis: 1, keepdims: 0 } }),
  plain("ArgMin", 13, [[2, 5]], { attributes: { axis: -1 } }),
  plain("TopK", 11, [[2, 6]], { constants: [ints(3)], outputs: 2 }),
  plain("TopK", 11, [[6, 2]], { constants: [ints(2)], outputs: 2, attributes: { axis: 0, largest: 0 } }),
  ...[{}, { exclusive: 1 }, { reverse: 1 }, { exclusive: 1, reverse: 1 }].map((attributes) =>
    plain("CumSum", 14, [[2, 5]], { constants: [index(1)], attributes }),
  ),
];

const products: OperatorCase[] = [
  plain("MatMul", 13, [
    [2, 3, 4],
    [4, 5],
  ]),
  plain("MatMul", 13, [[4], [2, 4, 3]]),
  plain("MatMul", 13, [[2, 3, 4], [4]]),
  plain("MatMul", 13, [[4], [4]]),
  plain("Gemm", 13, [[3, 4], [4, 2], [2]]),
  plain(
    "Gemm",
    11,
    [
      [4, 3],
      [2, 4],
      [3, 1],
    ],
    { attributes: { transA: 1, transB: 1, alpha: f(0.5), beta: f(2) } },
  ),
  plain("Gemm", 13, [
    [3, 4],
    [4, 2],
  ]),
  plain(
    "Einsum",
    12,
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
    { attributes: { equation: "bij,bjk->bik" } },
  ),
  plain(
    "Einsum",
    12,
    [
      [3, 4],
      [4, 2],
    ],
    { attributes: { equation: "ij, jk" } },
  ),
  plain(
    "Einsum",
    12,
    [
      [2, 3, 4, 5],
      [2, 6, 4, 5],
    ],
    { attributes: { equation: "Bqhd,Bkhd->Bhqk" } },
  ),
  plain(
    "FusedMatMul",
    17,
    [
      [4, 3],
      [5, 4],
    ],
    { domain: "com.microsoft", attributes: { transA: 1, transB: 1, alpha: f(0.3) } },
  ),
];

const image = [2, 4, 6, 5] as const;
const conv = (opset: number, w: number[], attributes: OperatorCase["attributes"], x: readonly number[] = image) =>
  plain("Conv", opset, [x, w], { attributes: attributes! });
const convolutions: OperatorCase[] = [
  conv(11, [3, 4, 3, 3], { pads: [1, 1, 1, 1] }),
  conv(11, [3, 4, 3, 2], { pads: [0, 1, 2, 0], strides: [2, 2] }),
  conv(11, [4, 1, 3, 3], { group: 4, dilations: [2, 2], pads: [2, 2, 2, 2] }),
  conv(11, [4, 2, 3, 1], { group: 2, dilations: [2, 1], strides: [1, 2] }),
  conv(22, [3, 4, 3, 3], { strides: [2, 1], kernel_shape: [3, 3] }),
  ...["SAME_UPPER", "SAME_LOWER", "VALID"].map((auto_pad) => conv(11, [3, 4, 3, 2], { auto_pad, strides: [2, 2] })),
  conv(11, [3, 4, 3], { pads: [2, 1], strides: [2], dilations: [2] }, [2, 4, 9]),
  plain("Conv", 11, [image, [3, 4, 1, 1], [3]]),
  plain("ConvTranspose", 11, [[2, 3, 4, 3], [3, 2, 3, 3], [2]], {
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1] },
  }),
  plain(
    "ConvTranspose",
    11,
    [
      [1, 4, 3, 3],
      [4, 1, 2, 3],
    ],
    {
      attributes: { group: 2, strides: [2, 2], output_padding: [1, 0], pads: [0, 1, 1, 0] },
    },
  ),
  plain(
    "ConvTranspose",
    11,
    [
      [1, 2, 3, 3],
      [2, 1, 3, 3],
    ],
    { attributes: { dilations: [2, 2] } },
  ),
  plain(
    "ConvTranspose",
    11,
    [
      [1, 2, 5],
      [2, 3, 4],
    ],
    { attributes: { strides: [2], pads: [1, 1] } },
  ),
  plain(
    "ConvTranspose",
    11,
    [
      [1, 2, 3, 3],
      [2, 1, 3, 3],
    ],
    { attributes: { strides: [2, 2], output_shape: [6, 7] } },
  ),
  plain(
    "ConvTranspose",
    11,
    [
      [1, 2, 3, 3],
      [2, 1, 3, 3],
    ],
    { attributes: { strides: [2, 2], auto_pad: "SAME_UPPER" } },
  ),
];

const poolGeometries: OperatorCase["attributes"][] = [
  { kernel_shape: [2, 2] },
  { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
  { kernel_shape: [3, 2], strides: [2, 1], pads: [0, 1, 1, 0] },
  { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
  { kernel_shape: [2, 2], strides: [2, 2], auto_pad: "SAME_UPPER" },
  { kernel_shape: [3, 2], strides: [2, 2], auto_pad: "SAME_LOWER" },
];
const pools: OperatorCase[] = [
  ...["MaxPool", "AveragePool"].flatMap((op) =>
    poolGeometries.map((a) => plain(op, 12, [[2, 2, 7, 6]], { attributes: a! })),
  ),
  plain("MaxPool", 12, [[1, 2, 9]], { attributes: { kernel_shape: [3], strides: [2], pads: [1, 0] } }),
  plain("AveragePool", 19, [[1, 2, 7, 6]], {
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 },
  }),
  plain("AveragePool", 12, [[1, 2, 9]], { attributes: { kernel_shape: [4], strides: [3], pads: [1, 2] } }),
  ...["GlobalAveragePool", "GlobalMaxPool"].flatMap((op) => [plain(op, 11, [image]), plain(op, 11, [[2, 3, 5]])]),
];

const statistics: Stored[] = [ramp(4), ramp(4), { floats: [0.1, -0.2, 0.3, 0] }, { floats: [0.5, 1, 2, 0.1] }];
const normalizations: OperatorCase[] = [
  ...[9, 14, 15].map((opset) =>
    plain("BatchNormalization", opset, [image], { constants: statistics, attributes: { epsilon: f(1e-3) } }),
  ),
  plain("BatchNormalization", 15, [[3, 4]], { constants: statistics }),
  plain("LayerNormalization", 17, [[2, 3, 4], [4], [4]]),
  plain(
    "LayerNormalization",
    17,
    [
      [2, 3, 4],
      [3, 4],
    ],
    { attributes: { axis: 1, epsilon: f(1e-3) } },
  ),
  plain("LRN", 13, [image], { attributes: { size: 3, alpha: f(0.8), bias: f(0.7) } }),
  plain("LRN", 9, [[2, 5, 3, 2]], { attributes: { size: 5 } }),
  plain("RMSNormalization", 23, [[2, 3, 4], [4]]),
  plain("GroupNormalization", 18, [image, [2], [2]], { attributes: { num_groups: 2 } }),
  plain("GroupNormalization", 21, [image, [4], [4]], { attributes: { num_groups: 2, epsilon: f(1e-3) } }),
  plain("InstanceNormalization", 11, [image, [4], [4]]),
  ...["Softmax", "LogSoftmax"].flatMap((op) => [
    plain(op, 11, [[2, 3, 4]]),
    plain(op, 11, [[2, 3, 4]], { attributes: { axis: 2 } }),
    plain(op, 11, [[2, 3, 4]], { attributes: { axis: 0 } }),
    plain(op, 13, [[2, 3, 4]]),
    plain(op, 13, [[2, 3, 4]], { attributes: { axis: 1 } }),
  ]),
];

const layouts: OperatorCase[] = [
  plain("Reshape", 13, [[2, 3, 4]], { constants: [ints(0, -1, 2)] }),
  plain("Reshape", 14, [[2, 3]], { constants: [ints(6)], attributes: { allowzero: 1 } }),
  ...withAttributes("Flatten", 13, [2, 3, 4], {}, { axis: 0 }, { axis: -1 }, { axis: 3 }),
  plain("Squeeze", 11, [[1, 3, 1]], { attributes: { axes: [-1] } }),
  plain("Squeeze", 13, [[1, 3, 1]]),
  plain("Squeeze", 13, [[1, 3, 1]], { constants: [ints(0)] }),
  plain("Unsqueeze", 11, [[3, 2]], { attributes: { axes: [0, 3] } }),
  plain("Unsqueeze", 13, [[3, 2]], { constants: [ints(-1, 1)] }),
  ...withAttributes("Transpose", 13, [2, 3, 4], {}, { perm: [1, 0, 2] }),
  plain("Expand", 13, [[3, 1]], { constants: [ints(2, 1, 4)] }),
  plain("Tile", 13, [[2, 3]], { constants: [ints(2, 3)] }),
  plain(
    "Concat",
    13,
    [
      [2, 3],
      [2, 1],
      [2, 2],
    ],
    { attributes: { axis: -1 } },
  ),
  plain("Split", 11, [[2, 6]], { attributes: { axis: 1 }, outputs: 3 }),
  plain("Split", 11, [[2, 6]], { attributes: { axis: 1, split: [1, 5] }, outputs: 2 }),
  plain("Split", 13, [[2, 6]], { constants: [ints(4, 2)], attributes: { axis: -1 }, outputs: 2 }),
  plain("Split", 18, [[7, 2]], { attributes: { num_outputs: 3 }, outputs: 3 }),
  plain("Slice", 9, [[4, 6]], { attributes: { starts: [1, -3], ends: [3, 1000], axes: [0, 1] } }),
  plain("Slice", 11, [[4, 7]], { constants: [ints(1, 0), ints(4, 100), ints(0, 1), ints(1, 3)] }),
  plain("Slice", 13, [[4, 7]], { constants: [ints(-1, 6), ints(-100, 1), ints(-2, -1), ints(-1, -2)] }),
  plain("Slice", 13, [[4, 7]], { constants: [ints(1), ints(3)] }),
  plain("Pad", 9, [[2, 3]], { attributes: { pads: [0, 1, 2, 0], value: f(0.5) } }),
  plain("Pad", 11, [[2, 3]], { constants: [ints(1, 1, 0, 2), scalar(-2)] }),
  plain("Pad", 13, [[2, 5]], { constants: [ints(0, -1, 1, 2)] }),
  plain("Pad", 18, [[2, 5]], { constants: [ints(2, 1), "", ints(1)], attributes: { mode: "reflect" } }),
  plain("Pad", 11, [[2, 5]], { constants: [ints(1, 2, 0, 1)], attributes: { mode: "edge" } }),
  plain("Pad", 19, [[2, 4]], { constants: [ints(0, 2, 1, 1)], attributes: { mode: "wrap" } }),
  ...withAttributes("DepthToSpace", 13, [1, 8, 2, 3], { blocksize: 2 }, { blocksize: 2, mode: "CRD" }),
  ...withAttributes("SpaceToDepth", 13, [1, 2, 4, 6], { blocksize: 2 }),
];

const indexings: OperatorCase[] = [
  plain("Gather", 13, [[4, 3]], { constants: [{ ints: [0, -1, 2, 0], shape: [2, 2] }] }),
  plain("Gather", 13, [[2, 4, 3]], { constants: [index(-2)], attributes: { axis: 1 } }),
  plain("GatherElements", 13, [[3, 4]], {
    constants: [{ ints: [0, -1, 2, 1], shape: [2, 2] }],
    attributes: { axis: 1 },
  }),
  plain("GatherND", 13, [[3, 4, 2]], { constants: [{ ints: [0, -1, 2, 1, 0, 0], shape: [3, 2] }] }),
  plain("GatherND", 11, [[3, 4]], { constants: [{ ints: [2, -3], shape: [2, 1] }] }),
  plain("GatherND", 12, [[2, 3, 4]], {
    constants: [{ ints: [0, -1, 2, 1], shape: [2, 2, 1] }],
    attributes: { batch_dims: 1 },
  }),
  plain("Trilu", 14, [[2, 3, 4]]),
  plain("Trilu", 14, [[3, 3]], { constants: [index(-1)], attributes: { upper: 0 } }),
];

const [queries, keys] = [
  [2, 4, 3, 2],
  [2, 4, 5, 2],
];
const attentions: OperatorCase[] = [
  plain("Attention", 23, [queries, keys, [2, 4, 5, 3]], { attributes: { scale: f(0.4) } }),
  plain("Attention", 23, [queries, keys, keys, [3, 5]]),
  plain("Attention", 23, [queries, keys, keys, [2, 1, 3, 5]], { masks: [3] }),
  plain("Attention", 23, [queries, [2, 2, 5, 2], [2, 2, 5, 2]], { attributes: { is_causal: 1 } }),
  plain(
    "Attention",
    23,
    [
      [2, 3, 8],
      [2, 5, 4],
      [2, 5, 4],
    ],
    { attributes: { q_num_heads: 4, kv_num_heads: 2 } },
  ),
];

const resize = (to: readonly number[], attributes: OperatorCase["attributes"], opset = 18): OperatorCase =>
  plain("Resize", opset, [[1, 2, 5, 4]], { constants: ["", "", ints(1, 2, ...to)], attributes: attributes! });
const resizes: OperatorCase[] = [
  ...["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"].flatMap((coordinate_transformation_mode) => [
    ...["nearest", "linear", "cubic"].map((mode) => resize([7, 9], { mode, coordinate_transformation_mode })),
    resize([3, 2], { mode: "linear", coordinate_transformation_mode }),
  ]),
  resize([9, 3], { mode: "linear", coordinate_transformation_mode: "half_pixel_symmetric" }, 19),
  ...["floor", "ceil", "round_prefer_ceil"].map((nearest_mode) =>
    resize([8, 3], { nearest_mode, coordinate_transformation_mode: "asymmetric" }),
  ),
  resize([10, 8], { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" }),
  resize([8, 7], { mode: "cubic", exclude_outside: 1, cubic_coeff_a: f(-0.5) }),
  resize([3, 2], { mode: "linear", antialias: 1 }),
  resize([3, 2], { mode: "linear", antialias: 1, exclude_outside: 1 }),
  resize([8, 2], { mode: "cubic", antialias: 1 }),
  resize([1, 6], { mode: "cubic", antialias: 1 }), // the kernel reaches far outside
  resize([3, 2], { mode: "cubic", antialias: 1, cubic_coeff_a: f(-0.5) }),
  plain("Resize", 11, [[1, 2, 4, 3]], {
    constants: [{ floats: [], shape: [0] }, { floats: [1, 1, 2, 2] }],
    attributes: {},
  }),
  plain("Resize", 13, [[1, 2, 4, 5]], {
    constants: ["", { floats: [1, 1, 1.5, 0.6] }],
    attributes: { mode: "linear" },
  }),
  plain("Resize", 13, [[1, 2, 5, 4]], { constants: ["", { floats: [1, 1, 2.6, 3] }] }), // 5 · 2.6 is 13 in float32 only
  plain("Resize", 13, [[1, 2, 2, 2]], {
    constants: ["", { floats: [1, 1, 1.3, 1.3] }],
    attributes: { mode: "linear" },
  }),
  plain("Resize", 10, [[1, 2, 4, 3]], { constants: [{ floats: [1, 1, 2, 2] }] }),
  plain("Upsample", 9, [[1, 2, 4, 3]], { constants: [{ floats: [1, 1, 2, 3] }], attributes: { mode: "nearest" } }),
];

export const cases: readonly OperatorCase[] = [
  ...activation,
  ...arithmetic,
  ...reductions,
  ...products,
  ...convolutions,
  ...pools,
  ...normalizations,
  ...layouts,
  ...indexings,
  ...attentions,
  ...resizes,
];
