import { Rng } from "../core/rng.ts";

/** Sums of distances between groups of points, of which a bootstrap draws whole groups. */
export interface GroupedPairs {
  /** [rows, columns]: Σ ‖x_j − y_k‖ over points j of one group and k of another; of one set, over pairs j ≠ k. */
  readonly sums: Float64Array;
  /** Points of each group. */
  readonly rows: readonly number[];
  readonly columns: readonly number[];
}

/** How often each group was drawn; absent: once each. */
type Draws = ArrayLike<number> | undefined;

const MOST_GROUPS = 100;
const RESAMPLES = 200;

/** Distances between all points of x [n, dimension] and y [m, dimension], by groups of points that follow each other. */
export function pairsAcross(x: ArrayLike<number>, y: ArrayLike<number>, dimension: number): GroupedPairs {
  const [ofX, ofY] = [groupStarts(x.length / dimension), groupStarts(y.length / dimension)];
  const [xs, ys] = [columnsOf(x, dimension), columnsOf(y, dimension)];
  const sums = new Float64Array((ofX.length - 1) * (ofY.length - 1));
  addDistances(sums, xs, ys, ofX, ofY, (_, h) => ofY[h]!);
  return { sums, rows: sizes(ofX), columns: sizes(ofY) };
}

/** Distances between different points [n, dimension] of one set. */
export function pairsWithin(points: ArrayLike<number>, dimension: number): GroupedPairs {
  const starts = groupStarts(points.length / dimension);
  const own = columnsOf(points, dimension);
  const G = starts.length - 1;
  const sums = new Float64Array(G * G);
  addDistances(sums, own, own, starts, starts, (j, h) => Math.max(starts[h]!, j + 1));
  for (let g = 0; g < G; g++) {
    sums[g * G + g]! *= 2;
    for (let h = 0; h < g; h++) sums[g * G + h] = sums[h * G + g]!;
  }
  return { sums, rows: sizes(starts), columns: sizes(starts) };
}

/** E‖X − Y‖. */
export function meanAcross({ sums, rows, columns }: GroupedPairs, ofRows?: Draws, ofColumns?: Draws): number {
  const H = columns.length;
  let total = 0;
  rows.forEach((_, g) => {
    let row = 0;
    for (let h = 0; h < H; h++) row += times(ofColumns, h) * sums[g * H + h]!;
    total += times(ofRows, g) * row;
  });
  return total / (drawn(rows, ofRows) * drawn(columns, ofColumns));
}

/** E‖X − X'‖ over pairs of different points; groups that were drawn twice count as two samples of the law, not as the same points. */
export function meanWithin({ sums, rows }: GroupedPairs, draws?: Draws): number {
  if (!draws) {
    const n = drawn(rows, undefined);
    return sums.reduce((p, q) => p + q, 0) / (n * (n - 1));
  }
  const G = rows.length;
  let total = 0;
  for (let g = 0; g < G; g++) {
    if (draws[g] === 0) continue;
    for (let h = 0; h < G; h++) {
      const pairs = g === h ? rows[g]! * (rows[g]! - 1) : rows[g]! * rows[h]!;
      total += draws[g]! * draws[h]! * rows[g]! * rows[h]! * (sums[g * G + h]! / pairs);
    }
  }
  return total / drawn(rows, draws) ** 2;
}

/** Standard deviation of a statistic over draws, with replacement, of the groups of x and of y [efron1994bootstrap]. */
export function bootstrapError(
  statistic: (ofX: ArrayLike<number>, ofY: ArrayLike<number>) => number,
  { rows, columns }: GroupedPairs,
): number {
  const rng = new Rng(0);
  const values = Array.from({ length: RESAMPLES }, (_, sample) =>
    statistic(
      counts(rng.integers(rows.length, rows.length, { purpose: "metric", sample, step: 0 }), rows.length),
      counts(rng.integers(columns.length, columns.length, { purpose: "metric", sample, step: 1 }), columns.length),
    ),
  );
  const mean = values.reduce((p, q) => p + q, 0) / RESAMPLES;
  return Math.sqrt(values.reduce((p, q) => p + (q - mean) ** 2, 0) / (RESAMPLES - 1));
}

const times = (draws: Draws, g: number): number => draws?.[g] ?? 1;

const drawn = (sizes: readonly number[], draws: Draws): number =>
  sizes.reduce((total, size, g) => total + size * times(draws, g), 0);

function counts(chosen: ArrayLike<number>, groups: number): Float64Array {
  const result = new Float64Array(groups);
  for (let k = 0; k < chosen.length; k++) result[chosen[k]!]!++;
  return result;
}

/** Where groups begin, and the end of the last: of two points or more each. */
function groupStarts(n: number): number[] {
  const groups = Math.max(1, Math.min(MOST_GROUPS, Math.floor(n / 2)));
  return Array.from({ length: groups + 1 }, (_, g) => Math.round((g * n) / groups));
}

const sizes = (starts: readonly number[]): number[] => starts.slice(1).map((end, g) => end - starts[g]!);

/** One array per coordinate. */
const columnsOf = (points: ArrayLike<number>, dimension: number): Float64Array[] =>
  Array.from({ length: dimension }, (_, d) =>
    Float64Array.from({ length: points.length / dimension }, (_, j) => points[j * dimension + d]!),
  );

/** Adds ‖x_j − y_k‖ of the points k ≥ from(j, h) of each group h, a row of squared distances at a time, four coordinates in one pass. */
function addDistances(
  sums: Float64Array,
  x: readonly Float64Array[],
  y: readonly Float64Array[],
  ofX: readonly number[],
  ofY: readonly number[],
  from: (j: number, h: number) => number,
): void {
  const H = ofY.length - 1;
  const squares = new Float64Array(y[0]!.length);
  const zeros = new Float64Array(Math.max(x[0]!.length, y[0]!.length)); // coordinates that are missing to a multiple of four
  const at = (columns: readonly Float64Array[], d: number) => columns[d] ?? zeros;
  for (let g = 0; g < ofX.length - 1; g++) {
    for (let j = ofX[g]!; j < ofX[g + 1]!; j++) {
      for (let h = 0; h < H; h++) {
        const start = from(j, h);
        const end = ofY[h + 1]!;
        if (start >= end) continue;
        let row = 0;
        if (x.length <= 2) {
          const [y0, y1] = [at(y, 0), at(y, 1)];
          const [x0, x1] = [at(x, 0)[j]!, at(x, 1)[j]!];
          for (let k = start; k < end; k++) {
            const d0 = x0 - y0[k]!;
            const d1 = x1 - y1[k]!;
            row += Math.sqrt(d0 * d0 + d1 * d1);
          }
        } else {
          squares.fill(0, start, end);
          for (let d = 0; d < x.length; d += 4) {
            const [y0, y1, y2, y3] = [at(y, d), at(y, d + 1), at(y, d + 2), at(y, d + 3)];
            const [x0, x1, x2, x3] = [at(x, d)[j]!, at(x, d + 1)[j]!, at(x, d + 2)[j]!, at(x, d + 3)[j]!];
            for (let k = start; k < end; k++) {
              const d0 = x0 - y0[k]!;
              const d1 = x1 - y1[k]!;
              const d2 = x2 - y2[k]!;
              const d3 = x3 - y3[k]!;
              squares[k]! += d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3;
            }
          }
          for (let k = start; k < end; k++) row += Math.sqrt(squares[k]!);
        }
        sums[g * H + h]! += row;
      }
    }
  }
}
