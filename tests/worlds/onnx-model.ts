import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";

/* Writes ONNX models as other programs do, without this package's own emission. */

export type Attribute =
  | number
  | string
  | readonly number[]
  | { float: number }
  | { floats: readonly number[] }
  | { tensor: TensorProto };

export interface ModelParts {
  opset: number;
  nodes: readonly NodeProto[];
  inputs: readonly ValueInfoProto[];
  outputs: readonly string[];
  initializers?: readonly TensorProto[];
  microsoft?: boolean;
}

export function modelBytes({ opset, nodes, inputs, outputs, initializers = [], microsoft }: ModelParts): Uint8Array {
  const opsetImport = [{ domain: "", version: BigInt(opset) }];
  if (microsoft) opsetImport.push({ domain: "com.microsoft", version: 1n });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: "test",
      opsetImport,
      graph: {
        name: "g",
        node: [...nodes],
        input: [...inputs],
        initializer: [...initializers],
        output: outputs.map((name) => create(ValueInfoProtoSchema, { name })),
      },
    }),
  );
}

export const node = (
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  domain = "",
): NodeProto =>
  create(NodeProtoSchema, {
    opType,
    name: `${opType} of ${output[0]}`,
    input: [...input],
    output: [...output],
    domain,
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  });

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string") {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ("float" in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  if ("floats" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...value.floats] });
  if ("tensor" in value) return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value.tensor });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

export const floatInput = (name: string, shape: readonly (number | string)[]) =>
  typedInput(name, shape, DataType.FLOAT);

export const typedInput = (name: string, shape: readonly (number | string)[], elemType: DataType): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType,
          shape: {
            dim: shape.map((d) =>
              typeof d === "number"
                ? { value: { case: "dimValue" as const, value: BigInt(d) } }
                : { value: { case: "dimParam" as const, value: d } },
            ),
          },
        },
      },
    },
  });

const size = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

export const floatTensor = (name: string, values: ArrayLike<number>, shape: readonly number[] = [values.length]) =>
  create(TensorProtoSchema, {
    name,
    dataType: DataType.FLOAT,
    dims: shape.map(BigInt),
    rawData: new Uint8Array(Float32Array.from(values).buffer),
  });

export const intTensor = (
  name: string,
  values: readonly (number | bigint)[],
  shape: readonly number[] = [values.length],
) =>
  create(TensorProtoSchema, {
    name,
    dataType: DataType.INT64,
    dims: shape.map(BigInt),
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  });

/** Numbers of order 1 that look irregular and differ from each other. */
export const wave = (shape: readonly number[], phase = 0): Float32Array =>
  Float32Array.from(
    { length: size(shape) },
    (_, k) => 1.3 * Math.sin(1.7 * k + 0.6 + phase) + 0.31 * Math.cos(5.1 * k),
  );
