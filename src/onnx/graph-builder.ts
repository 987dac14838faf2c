import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import type { FileRegion } from "../core/named-arrays.ts";
import type { DType, Emitter, NodeAttrs, NodeOptions, OptionalOperator, Shape } from "../tensor/index.ts";

export const onnxType: Record<DType, DataType> = {
  float32: DataType.FLOAT,
  int32: DataType.INT32,
  float16: DataType.FLOAT16,
};

/** Collects nodes and constants of one ONNX graph. Equal nodes are made once. */
export class GraphBuilder implements Emitter {
  readonly protoNodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly #reserved: ReadonlySet<string>;
  readonly #operators: readonly OptionalOperator[];
  readonly #frozen = new Map<string, Float32Array>();
  readonly #inFiles = new Set<string>();
  readonly #memo = new Map<string, unknown>();
  #names = 0;
  #zero: string | undefined;

  /** Generated names avoid the `reserved` ones, which inputs and outputs are to have; `operators` is what the backend has of those that not all have. */
  constructor(reserved: ReadonlySet<string>, operators: readonly OptionalOperator[]) {
    this.#reserved = reserved;
    this.#operators = operators;
  }

  node(opType: string, inputs: readonly string[], attrs: NodeAttrs = {}, options: NodeOptions = {}): string {
    return this.nodes(opType, inputs, attrs, 1, options)[0]!;
  }

  nodes(
    opType: string,
    inputs: readonly string[],
    attrs: NodeAttrs,
    outputs: number,
    options: NodeOptions = {},
  ): readonly string[] {
    const key = `${options.domain ?? ""}${opType}(${inputs.join(",")})${JSON.stringify(attrs)}:${outputs}`;
    return this.shared(key, () => {
      const names = Array.from({ length: outputs }, () => this.#fresh("v"));
      this.protoNodes.push(
        create(NodeProtoSchema, {
          opType,
          name: `${opType}_${this.protoNodes.length}`,
          input: [...inputs],
          output: names,
          domain: options.domain ?? "",
          attribute: Object.entries(attrs).map(([name, value]) => attributeProto(name, value)),
        }),
      );
      return names;
    });
  }

  floats(values: ArrayLike<number>, shape: Shape): string {
    const data = Float32Array.from(values);
    return this.shared(`floats:${shape.join()}:${data.join()}`, () => this.constant(data, shape));
  }

  ints(values: readonly number[], shape: Shape = [values.length]): string {
    return this.shared(`ints:${shape.join()}:${values.join()}`, () => {
      const data = BigInt64Array.from(values, BigInt);
      return this.#initializer(DataType.INT64, shape, new Uint8Array(data.buffer));
    });
  }

  zero(): string {
    this.#zero ??= this.input(this.#fresh("zero"), "float32", []);
    return this.#zero;
  }

  /** The name of `zero()`, if it was asked for. */
  get zeroInput(): string | undefined {
    return this.#zero;
  }

  shared<T>(key: string, build: () => T): T {
    if (!this.#memo.has(key)) this.#memo.set(key, build());
    return this.#memo.get(key) as T;
  }

  constantData(name: string): Float32Array | undefined {
    return this.#frozen.get(name);
  }

  constant(data: Float32Array | Int32Array, shape: Shape): string {
    const type = data instanceof Float32Array ? DataType.FLOAT : DataType.INT32;
    const name = this.#initializer(type, shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    if (data instanceof Float32Array) this.#frozen.set(name, data);
    return name;
  }

  has(opType: OptionalOperator): boolean {
    return this.#operators.includes(opType);
  }

  isConstant(name: string): boolean {
    return this.#frozen.has(name) || this.#inFiles.has(name);
  }

  /** A constant whose values stay in a file; `location` is its path from the folder the model is opened with. */
  fileConstant({ offset, length }: FileRegion, location: string, shape: Shape): string {
    const name = this.#fresh("c");
    const place = { location, offset: String(offset), length: String(4 * length) };
    this.initializers.push(
      create(TensorProtoSchema, {
        name,
        dataType: DataType.FLOAT,
        dims: shape.map(BigInt),
        dataLocation: DataLocation.EXTERNAL,
        externalData: Object.entries(place).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
      }),
    );
    this.#inFiles.add(name);
    return name;
  }

  input(name: string, dtype: DType, shape: Shape): string {
    this.inputs.push(valueInfo(name, dtype, shape));
    return name;
  }

  /** Gives the value `from` the additional name `to`. */
  alias(from: string, to: string): void {
    this.protoNodes.push(
      create(NodeProtoSchema, { opType: "Identity", name: `output_${to}`, input: [from], output: [to] }),
    );
  }

  #initializer(dataType: DataType, shape: Shape, rawData: Uint8Array): string {
    const name = this.#fresh("c");
    this.initializers.push(
      create(TensorProtoSchema, {
        name,
        dataType,
        dims: shape.map(BigInt),
        rawData: rawData as Uint8Array<ArrayBuffer>,
      }),
    );
    return name;
  }

  #fresh(prefix: string): string {
    let name: string;
    do name = `${prefix}${this.#names++}`;
    while (this.#reserved.has(name));
    return name;
  }
}

export function valueInfo(name: string, dtype: DType, shape: Shape): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: onnxType[dtype],
          shape: { dim: shape.map((d) => ({ value: { case: "dimValue" as const, value: BigInt(d) } })) },
        },
      },
    },
  });
}

function attributeProto(name: string, value: NodeAttrs[string]): AttributeProto {
  if (typeof value === "string") {
    const s = new TextEncoder().encode(value) as Uint8Array<ArrayBuffer>;
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s });
  }
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if ("float" in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}
