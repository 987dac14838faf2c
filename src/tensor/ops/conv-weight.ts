import { defineOperator, type Emitter } from "../operator.ts";
import { type Shape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { attrsOf, type ConvGeometry, convSamples, eachTerm, geometryOf } from "./conv-map.ts";
import { channelsLast, channelsLastRows, kernelOf } from "./conv-products.ts";
import { emitProduct } from "./matmul.ts";

defineOperator({
  name: "conv2dWeight",
  shape: ([x, y], attrs) => [y!.shape[1]!, x!.shape[1]! / attrsOf(attrs).groups, ...attrsOf(attrs).size],
  reference([x, y], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachTerm(x!.shape, shape, y!.shape, attrsOf(attrs), (i, j, o) => {
      out[j]! += x!.data[i]! * y!.data[o]!;
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [x, y] = inputs as [Tensor, Tensor];
    const geometry = geometryOf(attrsOf(attrs));
    return [apply("conv2dInput", [y, v], { ...geometry, size: x.shape.slice(2) }), apply("conv2d", [x, v], geometry)];
  },
  emit(e, [x, y], { inputs, attrs, output }) {
    const geometry = attrsOf(attrs);
    const shapes: Shapes = { x: inputs[0]!.shape, y: inputs[1]!.shape, w: output.shape };
    if (geometry.groups === 1) return dense(e, x!, y!, shapes, geometry);
    const depthwise = geometry.groups === output.shape[0] && output.shape[1] === 1;
    return (depthwise ? perChannel : perGroup)(e, x!, y!, shapes, geometry);
  },
  samples: () => convSamples((x, _, y) => [x, y], "w"),
});

interface Shapes {
  x: Shape;
  w: Shape;
  y: Shape;
}

/** One product [kw·C, positions] · [positions, O] per kernel row. */
function dense(e: Emitter, x: string, y: string, shapes: Shapes, geometry: ConvGeometry): string {
  const [O, C, kh, kw] = shapes.w as [number, number, number, number];
  const products = (geometry.stride === 1 ? shiftedProducts : cutProducts)(e, x, y, shapes, geometry);
  const parts = products.map((product) => e.node("Reshape", [product, e.ints([1, kw, C, O])]));
  const stacked = kh === 1 ? parts[0]! : e.node("Concat", parts, { axis: 0 }); // [kh, kw, C, O]
  return kernelOf(e, stacked, shapes.w);
}

/**
 * Pixel (u, v) of x meets (u + padding − dilation·k, v + padding − dilation·l) of y at tap (k, l). Columns of x are shifted, with
 * whole planes one after another, and rows of y, channels last: both are copies of long runs, and the product transposes neither.
 */
function shiftedProducts(e: Emitter, x: string, y: string, shapes: Shapes, geometry: ConvGeometry): string[] {
  const { padding, dilation } = geometry;
  const [O, C, kh, kw] = shapes.w as [number, number, number, number];
  const [B, , H, W] = shapes.x as [number, number, number, number];
  const [Ho, Wo] = shapes.y.slice(2) as [number, number];
  const shifted = (image: string, axis: number, rank: number, before: number, after: number) => {
    if (before === 0 && after === 0) return image;
    const at = (amount: number) => Array.from({ length: rank }, (_, k) => (k === axis ? amount : 0));
    return e.node("Pad", [image, e.ints([...at(before), ...at(after)])]);
  };
  const planes = e.node("Transpose", [x], { perm: [1, 0, 2, 3] });
  const columns = Array.from({ length: kw }, (_, l) => {
    const before = padding - dilation * l;
    return shifted(planes, 3, 4, before, Wo - W - before);
  });
  const joined = kw === 1 ? columns[0]! : e.node("Concat", columns, { axis: 0 });
  const sources = e.node("Reshape", [joined, e.ints([kw * C, B * H * Wo])]);
  const lines = e.node("Reshape", [channelsLast(e, y), e.ints([B, Ho, Wo * O])]);
  return Array.from({ length: kh }, (_, k) => {
    const before = dilation * k - padding;
    const targets = e.node("Reshape", [shifted(lines, 1, 3, before, H - Ho - before), e.ints([B * H * Wo, O])]);
    return e.node("MatMul", [sources, targets]);
  });
}

/** With a stride: x is cut anew for every kernel row. */
function cutProducts(e: Emitter, x: string, y: string, shapes: Shapes, geometry: ConvGeometry): string[] {
  const [O, , kh, kw] = shapes.w as [number, number, number, number];
  const [B, , Ho, Wo] = shapes.y as [number, number, number, number];
  const targets = e.node("Reshape", [channelsLast(e, y), e.ints([B * Ho * Wo, O])]);
  const rows = channelsLastRows(e, x, shapes.x, [kh, kw], geometry, [Ho, Wo]);
  return rows.map((row) => e.node("Gemm", [row, targets], { transA: 1 }));
}

/** One batched product [g, kw·C/g, positions] · [g, O/g, positions]ᵀ per kernel row, channels first. */
function perGroup(e: Emitter, x: string, y: string, shapes: Shapes, geometry: ConvGeometry): string {
  const { groups: g } = geometry;
  const [O, C, kh, kw] = shapes.w as [number, number, number, number];
  const [B, , Ho, Wo] = shapes.y as [number, number, number, number];
  const channelsFirst = (image: string) => e.node("Transpose", [image], { perm: [1, 0, 2, 3] });
  const targets = e.node("Reshape", [channelsFirst(y), e.ints([g, O / g, B * Ho * Wo])]);
  const source = padded(e, channelsFirst(x), geometry);
  const rows = Array.from({ length: kh }, (_, k) => {
    const shifts = Array.from({ length: kw }, (_, l) =>
      e.node("Reshape", [window(e, source, geometry, [k, l], [Ho, Wo]), e.ints([g, C, 1, B * Ho * Wo])]),
    );
    const joined = e.node("Reshape", [e.node("Concat", shifts, { axis: 2 }), e.ints([g, C * kw, B * Ho * Wo])]);
    const product = emitProduct(e, [joined, targets], [3, 3], { transA: false, transB: true });
    return e.node("Reshape", [product, e.ints([1, g, C, kw, O / g])]);
  });
  const ordered = e.node("Transpose", [e.node("Concat", rows, { axis: 0 })], { perm: [1, 4, 2, 0, 3] });
  return e.node("Reshape", [ordered, e.ints(shapes.w)]); // from [g, O/g, C, kh, kw]
}

/** Depthwise: w[c,k,l] = Σ_{b,i,j} (window of x at the tap)·y, several times faster than products of vectors. */
function perChannel(e: Emitter, x: string, y: string, shapes: Shapes, geometry: ConvGeometry): string {
  const [O, , kh, kw] = shapes.w as [number, number, number, number];
  const [, , Ho, Wo] = shapes.y as [number, number, number, number];
  const source = padded(e, x, geometry);
  const taps = Array.from({ length: kh * kw }, (_, t) => {
    const seen = window(e, source, geometry, [Math.floor(t / kw), t % kw], [Ho, Wo]);
    const sum = e.node("ReduceSum", [e.node("Mul", [seen, y]), e.ints([0, 2, 3])], { keepdims: 0 });
    return e.node("Reshape", [sum, e.ints([O, 1])]);
  });
  return e.node("Reshape", [e.node("Concat", taps, { axis: 1 }), e.ints(shapes.w)]);
}

function padded(e: Emitter, image: string, { padding: p }: ConvGeometry): string {
  return p === 0 ? image : e.node("Pad", [image, e.ints([0, 0, p, p, 0, 0, p, p])]);
}

/** What tap (k, l) of the kernel sees of a padded image: rows d·k, d·k + s, … and columns d·l, d·l + s, … */
function window(e: Emitter, image: string, { stride, dilation }: ConvGeometry, tap: Shape, size: Shape): string {
  const starts = tap.map((t) => t * dilation);
  const ends = starts.map((start, axis) => start + (size[axis]! - 1) * stride + 1);
  return e.node("Slice", [image, e.ints(starts), e.ints(ends), e.ints([2, 3]), e.ints([stride, stride])]);
}
