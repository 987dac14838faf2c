import { clone } from "@bufbuild/protobuf";
import { TensorProto_DataType as DataType, type GraphProto, type TensorProto, TensorProtoSchema } from "onnx-buf";

/**
 * Leaves the first extent of inputs and of reshapes for the run to find out. What ONNX Runtime knows the size of, its planner
 * puts into the memory of an earlier value of that size, which then stays until the last such value is done with; what it
 * does not know, it frees at once. Without `checkpoint` there is little to free, and the sizes are worth more to the optimiser.
 */
export function hideExtents(graph: GraphProto): void {
  for (const { type } of graph.input) {
    const shape = type?.value.case === "tensorType" ? type.value.value.shape : undefined;
    const [first] = shape?.dim ?? [];
    if (first) first.value = { case: undefined, value: undefined };
  }
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const open = new Map<string, string>(); // target shape → the same with an open first extent
  for (const node of graph.node) {
    const target = node.opType === "Reshape" ? constants.get(node.input[1]!) : undefined;
    if (!target) continue;
    if (!open.has(target.name)) open.set(target.name, openShape(target, graph.initializer));
    node.input[1] = open.get(target.name)!;
  }
}

/** The name of the constant [-1, …rest], which is added; that of `shape` itself where an extent is open already or empty. */
function openShape(shape: TensorProto, initializers: TensorProto[]): string {
  const extents = new BigInt64Array(shape.rawData.slice().buffer);
  if (shape.dataType !== DataType.INT64 || extents.length === 0 || extents.some((extent) => extent < 1n))
    return shape.name;
  extents[0] = -1n;
  const opened = clone(TensorProtoSchema, shape);
  opened.name = `${shape.name}:open`;
  opened.rawData = new Uint8Array(extents.buffer);
  initializers.push(opened);
  return opened.name;
}
