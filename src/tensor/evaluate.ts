import { ShapeError } from "../core/errors.ts";
import { topologicalOrder } from "./gradient.ts";
import { operatorNamed, type ReferenceArray } from "./operator.ts";
import { showShape } from "./shapes.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Evaluates tensors in float64 with each operator's reference: slow and obvious, the oracle everything else is compared with.
 * `feeds` holds the values of inputs by name.
 */
export function evaluate(
  outputs: readonly Tensor[],
  feeds: Readonly<Record<string, ArrayLike<number>>> = {},
): Float64Array[] {
  const values = new Map<Tensor, ReferenceArray>();
  for (const node of topologicalOrder(outputs)) {
    values.set(node, { shape: node.shape, data: compute(node, values, feeds) });
  }
  return outputs.map((y) => values.get(y)!.data);
}

function compute(
  node: Tensor,
  values: ReadonlyMap<Tensor, ReferenceArray>,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
): Float64Array {
  if (node.op === "fill") return new Float64Array(node.size).fill(node.attrs.value as number);
  if (node.op === "constant") return Float64Array.from(node.data!);
  if (node.op === "input") {
    const name = node.attrs.name as string;
    const given = feeds[name];
    if (!given || given.length !== node.size) {
      throw new ShapeError(
        `evaluate: input "${name}" needs ${node.size} values of shape ${showShape(node.shape)}, but ${given ? given.length : "none"} came.`,
      );
    }
    return Float64Array.from(given);
  }
  const inputs = node.inputs.map((x) => values.get(x)!);
  return operatorNamed(node.op).reference(inputs, node.attrs, node.shape);
}
