import { fromBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, type ValueInfoProto } from "onnx-buf";

/** What an ONNX model is, without its numbers. */
export interface OnnxDescription {
  readonly kind: "onnx";
  readonly producer: string;
  /** Version of each operator set; ONNX's own is "ai.onnx". */
  readonly opsets: Readonly<Record<string, number>>;
  /** Shapes by name; axes without a number by their name, or "?". */
  readonly inputs: Readonly<Record<string, readonly (number | string)[]>>;
  readonly outputs: Readonly<Record<string, readonly (number | string)[]>>;
  readonly nodes: number;
  /** Initializers, and the values in them. */
  readonly tensors: number;
  readonly parameters: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Describes an ONNX file; undefined when the bytes are none. */
export function describeOnnx(bytes: Uint8Array): OnnxDescription | undefined {
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes);
  } catch {
    return undefined;
  }
  const { graph, opsetImport, producerName, producerVersion, metadataProps } = model;
  if (!graph || opsetImport.length === 0) return undefined;
  const tensors = graph.initializer;
  const stored = new Set(tensors.map(({ name }) => name));
  return {
    kind: "onnx",
    producer: `${producerName} ${producerVersion}`.trim(),
    opsets: Object.fromEntries(opsetImport.map(({ domain, version }) => [domain || "ai.onnx", Number(version)])),
    inputs: shapesOf(graph.input.filter(({ name }) => !stored.has(name))),
    outputs: shapesOf(graph.output),
    nodes: graph.node.length,
    tensors: tensors.length,
    parameters: tensors.reduce((total, { dims }) => total + dims.reduce((count, axis) => count * Number(axis), 1), 0),
    metadata: Object.fromEntries(metadataProps.map(({ key, value }) => [key, value])),
  };
}

function shapesOf(values: readonly ValueInfoProto[]): OnnxDescription["inputs"] {
  const axes = ({ type }: ValueInfoProto) =>
    type?.value.case === "tensorType"
      ? (type.value.value.shape?.dim ?? []).map(({ value }) =>
          value.case === "dimValue" ? Number(value.value) : value.value || "?",
        )
      : [];
  return Object.fromEntries(values.map((value) => [value.name, axes(value)]));
}
