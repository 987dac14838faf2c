import { TensorProto_DataType as DataType, type GraphProto, type NodeProto } from "onnx-buf";

/** Operators whose results are booleans. */
const comparisons = new Set([
  "Equal",
  "Greater",
  "GreaterOrEqual",
  "Less",
  "LessOrEqual",
  "Not",
  "And",
  "Or",
  "Xor",
  "IsNaN",
  "IsInf",
]);
/** Operators whose results are numbers even of booleans. */
const numeric = new Set(["Shape", "Size", "ArgMax", "ArgMin", "NonZero"]);
/** Operators whose result has the type of a later operand than the first. */
const typeOperand: Readonly<Record<string, number>> = { Where: 1, CastLike: 1, OneHot: 2 };

/** Names of all boolean values of a graph in order. They are masks of 0 and 1 here, as numbers could be too. */
export function booleansOf(graph: GraphProto): ReadonlySet<string> {
  const booleans = new Set<string>();
  for (const { name, dataType } of graph.initializer) if (dataType === DataType.BOOL) booleans.add(name);
  for (const { name, type } of graph.input) {
    if (type?.value.case === "tensorType" && type.value.value.elemType === DataType.BOOL) booleans.add(name);
  }
  for (const node of graph.node) {
    if (!isBoolean(node, booleans)) continue;
    for (const name of node.output) booleans.add(name);
  }
  return booleans;
}

function isBoolean({ opType, input, attribute }: NodeProto, booleans: ReadonlySet<string>): boolean {
  if (comparisons.has(opType)) return true;
  if (numeric.has(opType)) return false;
  if (opType === "Cast") return attribute.some(({ name, i }) => name === "to" && Number(i) === DataType.BOOL);
  if (opType === "Constant" || opType === "ConstantOfShape") {
    return attribute.some(({ name, t }) => name === "value" && t?.dataType === DataType.BOOL);
  }
  return booleans.has(input[Object.hasOwn(typeOperand, opType) ? typeOperand[opType]! : 0] ?? "");
}
