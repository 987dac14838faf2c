import { ShapeError } from "../core/errors.ts";
import { operatorNamed } from "./operator.ts";
import { sameShape, showShape } from "./shapes.ts";
import { fill, type Tensor, zerosLike } from "./tensor.ts";

const isSource = (op: string) => op === "input" || op === "constant" || op === "fill";

/** All tensors `roots` are made from, inputs before outputs; nothing that only members of `ends` are made from. */
export function topologicalOrder(roots: readonly Tensor[], ends: ReadonlySet<Tensor> = new Set()): Tensor[] {
  const seen = new Set<Tensor>();
  const stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    if (!ends.has(node)) stack.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id); // creation order is a topological order
}

/**
 * Vector-Jacobian product by reverse mode: for outputs `ys` and cotangents `vs` of the same shapes, gives
 * Σ_k (∂y_k/∂x)ᵀ v_k for every x of `xs` (zeros where nothing depends on x). The result is again a graph, so it can
 * be differentiated further.
 */
export function vjp(ys: readonly Tensor[], vs: readonly Tensor[], xs: readonly Tensor[]): Tensor[] {
  const cotangents = propagate(topologicalOrder(ys), ys, vs, xs, new Set());
  return xs.map((x) => cotangents.get(x) ?? zerosLike(x));
}

/**
 * The same for one y as a function of `ends` alone, each independent of the others: for every x of `xs`, some of the ends,
 * or nothing where y does not depend on it. The ends must cut y off from everything else that it is made from.
 */
export function cotangentsBetween(
  y: Tensor,
  v: Tensor,
  xs: readonly Tensor[],
  ends: ReadonlySet<Tensor>,
): ReadonlyMap<Tensor, Tensor> {
  const cotangents = propagate(topologicalOrder([y], ends), [y], [v], xs, ends);
  return new Map(xs.flatMap((x) => (cotangents.has(x) ? [[x, cotangents.get(x)!] as const] : [])));
}

/** Cotangents of all tensors of `order` that depend on xs, which go no further than `ends`. */
function propagate(
  order: readonly Tensor[],
  ys: readonly Tensor[],
  vs: readonly Tensor[],
  xs: readonly Tensor[],
  ends: ReadonlySet<Tensor>,
): ReadonlyMap<Tensor, Tensor> {
  const reaches = new Set<Tensor>(xs);
  for (const node of order)
    if (node.op !== "stopGradient" && node.inputs.some((x) => reaches.has(x))) reaches.add(node);

  const cotangents = new Map<Tensor, Tensor>();
  const accumulate = (node: Tensor, value: Tensor) => {
    if (!sameShape(node.shape, value.shape) || node.dtype !== value.dtype) {
      throw new ShapeError(
        `vjp: the cotangent of ${node.op} must have its shape and type ${node.dtype} ${showShape(node.shape)}, but is ${value.dtype} ${showShape(value.shape)}.`,
      );
    }
    const before = cotangents.get(node);
    cotangents.set(node, before ? sum(before, value) : value);
  };
  ys.forEach((y, k) => {
    accumulate(y, vs[k]!);
  });

  for (let k = order.length - 1; k >= 0; k--) {
    const node = order[k]!;
    const cotangent = cotangents.get(node);
    if (!cotangent || !reaches.has(node) || isSource(node.op) || ends.has(node)) continue;
    const wanted = node.inputs.map((x) => reaches.has(x));
    const parts = operatorNamed(node.op).vjp(
      { inputs: node.inputs, output: node, attrs: node.attrs },
      cotangent,
      wanted,
    );
    node.inputs.forEach((x, i) => {
      const part = parts[i];
      if (part && reaches.has(x)) accumulate(x, part);
    });
  }
  return cotangents;
}

/** Of halves too, added in float32 and rounded once. */
const sum = (p: Tensor, q: Tensor): Tensor =>
  p.dtype === "float16" ? p.cast("float32").add(q.cast("float32")).cast("float16") : p.add(q);

/** Gradients of a scalar `y` with respect to each of `xs`. */
export function gradient(y: Tensor, xs: readonly Tensor[]): Tensor[] {
  if (y.size !== 1) throw new ShapeError(`gradient: y must be a scalar, but has shape ${showShape(y.shape)}. Use vjp.`);
  return vjp([y], [fill(y.shape, 1, y.dtype)], xs);
}

/** True when any of `ys` depends on `x` through differentiable operators. */
export function dependsOn(ys: readonly Tensor[], x: Tensor): boolean {
  const reaches = new Set<Tensor>([x]);
  for (const node of topologicalOrder(ys))
    if (node.op !== "stopGradient" && node.inputs.some((i) => reaches.has(i))) reaches.add(node);
  return ys.some((y) => reaches.has(y));
}
