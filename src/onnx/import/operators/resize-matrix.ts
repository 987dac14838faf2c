/** How ONNX's Resize samples one axis; names and formulas are those of its specification. */
export interface AxisResize {
  from: number;
  to: number;
  /** to/from, or as the model states it. */
  scale: number;
  mode: "nearest" | "linear" | "cubic";
  coordinates: "half_pixel" | "pytorch_half_pixel" | "align_corners" | "asymmetric" | "half_pixel_symmetric";
  nearest: "round_prefer_floor" | "round_prefer_ceil" | "floor" | "ceil";
  antialias: boolean;
  excludeOutside: boolean;
  /** Slope of the cubic kernel at 1. */
  cubicA: number;
}

const f = Math.fround;

/** Position on the source axis of entry i of the result, in float32 as runtimes compute it: roundings decide ties. */
function position(i: number, { from, to, scale, coordinates }: AxisResize): number {
  const centred = f(f((i + 0.5) / f(scale)) - 0.5);
  switch (coordinates) {
    case "half_pixel":
      return centred;
    case "pytorch_half_pixel":
      return to > 1 ? centred : 0;
    case "align_corners":
      return to > 1 ? f((i * (from - 1)) / (to - 1)) : 0;
    case "asymmetric":
      return f(i / f(scale));
    case "half_pixel_symmetric":
      return (from / 2) * (1 - to / (scale * from)) + centred;
  }
}

const rounding: Record<AxisResize["nearest"], (at: number) => number> = {
  round_prefer_floor: (at) => Math.ceil(at - 0.5),
  round_prefer_ceil: (at) => Math.floor(at + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Position on the source axis that each entry of the result takes. */
export const nearestPositions = (axis: AxisResize): number[] =>
  Array.from({ length: axis.to }, (_, i) =>
    Math.min(Math.max(rounding[axis.nearest](position(i, axis)), 0), axis.from - 1),
  );

/** Kernel of linear (triangle) or cubic interpolation (Keys, slope a at 1) at distance t. */
function kernel({ mode, cubicA: a }: AxisResize, t: number): number {
  const u = Math.abs(t);
  if (mode === "linear") return Math.max(0, 1 - u);
  if (u <= 1) return ((a + 2) * u - (a + 3)) * u * u + 1;
  return u < 2 ? a * (((u - 5) * u + 8) * u - 4) : 0;
}

/** The matrix [to, from] of linear or cubic interpolation along one axis. */
export function resizeMatrix(axis: AxisResize): Float32Array {
  const { from, to, scale, mode, antialias, excludeOutside } = axis;
  const matrix = new Float32Array(to * from);
  // Antialiasing stretches the kernel over 1/scale entries when shrinking.
  const stretch = antialias ? Math.max(1, 1 / scale) : 1;
  const reach = (mode === "linear" ? 1 : 2) * stretch;
  for (let i = 0; i < to; i++) {
    const centre = position(i, axis);
    const row = new Float64Array(from);
    for (let j = Math.floor(centre - reach) + 1; j < centre + reach; j++) {
      const inside = Math.min(Math.max(j, 0), from - 1);
      if (j !== inside && excludeOutside) continue;
      row[inside]! += kernel(axis, (j - centre) / stretch); // outside, the border's value counts
    }
    const total = row.reduce((sum, w) => sum + w, 0);
    row.forEach((w, j) => {
      matrix[i * from + j] = w / total;
    });
  }
  return matrix;
}
