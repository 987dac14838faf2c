import { fromBinary } from "@bufbuild/protobuf";
import {
  type GraphProto,
  TensorProto_DataLocation as Location,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from "onnx-buf";
import { FormatError } from "../../core/errors.ts";
import type { DType, Tensor } from "../../tensor/index.ts";
import { booleansOf } from "./booleans.ts";
import { type ExternalData, externalDataOf } from "./external.ts";
import { checkGraph } from "./graph-check.ts";
import { checkStructure } from "./structure.ts";
import { checkRawBytes, dtypeOf, readTensor, typeName } from "./tensor-proto.ts";

/** Versions of ONNX's own operator set that are read. */
export const readableOpsets = { oldest: 9, newest: 23 } as const;

/** The most bytes of a model's file: the limit of protobuf. Larger networks keep their weights in other files. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;

export interface OnnxInput {
  readonly name: string;
  /** undefined for types that have no counterpart here. */
  readonly dtype: DType | undefined;
  /** Name of the type in ONNX. */
  readonly type: string;
  /** Sizes of the axes, undefined where the file leaves them open; undefined when it says nothing. */
  readonly shape: readonly (number | undefined)[] | undefined;
}

/** A checked ONNX graph whose stored numbers are constants of the tensor layer. */
export interface OnnxModel {
  /** Said in messages. */
  readonly name: string;
  /** Version of each operator set by domain; ONNX's own is "". */
  readonly opsets: ReadonlyMap<string, number>;
  /** What must be given: inputs without a stored value. */
  readonly inputs: readonly OnnxInput[];
  readonly outputs: readonly string[];
  /** In an order in which every value is made before it is used. */
  readonly nodes: readonly NodeProto[];
  readonly constants: ReadonlyMap<string, Tensor>;
  /** Names of the values that are booleans: masks of 0 and 1 here. */
  readonly booleans: ReadonlySet<string>;
}

export interface ReadOnnxOptions {
  /** Said in messages. */
  name: string;
  /**
   * Reads bytes beside the model; without it a model with external data is refused. It calls `check` with their number before
   * it reads them, which throws FormatError when the tensor takes another.
   */
  external?: (place: ExternalData, where: string, check: (bytes: number) => void) => Promise<Uint8Array>;
}

/**
 * Reads the bytes of an ONNX model. Throws FormatError for what is no model, for opsets outside of `readableOpsets`, for graphs with
 * cycles, missing or doubled names, and for tensors whose data does not fit their shape.
 */
export async function readOnnx(bytes: Uint8Array, { name, external }: ReadOnnxOptions): Promise<OnnxModel> {
  if (bytes.length > MAX_MODEL_BYTES)
    throw new FormatError(`${name}: an ONNX model has at most ${MAX_MODEL_BYTES} bytes, but this has ${bytes.length}.`);
  checkStructure(ModelProtoSchema, bytes, name);
  const model = decode(bytes, name);
  const { graph } = model;
  if (!graph || graph.output.length === 0 || model.opsetImport.length === 0) {
    throw new FormatError(
      `${name} is no ONNX model: a model has an operator set and a graph with outputs; this has not.`,
    );
  }
  const versions = new Map(
    model.opsetImport.map(({ domain, version }) => [domain === "ai.onnx" ? "" : domain, Number(version)]),
  );
  const own = versions.get("");
  if (own === undefined || !(own >= readableOpsets.oldest && own <= readableOpsets.newest)) {
    throw new FormatError(
      `${name}: opsets ${readableOpsets.oldest} to ${readableOpsets.newest} are read, but this model has ${own ?? "none"}. Export it again with opset_version=17, or convert it with onnx.version_converter.`,
    );
  }
  checkGraph(graph, name);
  return {
    name,
    opsets: versions,
    inputs: inputsOf(graph),
    outputs: graph.output.map((value) => value.name),
    nodes: graph.node,
    constants: await constantsOf(graph, name, external),
    booleans: booleansOf(graph),
  };
}

function decode(bytes: Uint8Array, name: string): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw new FormatError(`${name} is no ONNX model: ${(error as Error).message}.`);
  }
}

async function constantsOf(
  graph: GraphProto,
  name: string,
  external: ReadOnnxOptions["external"],
): Promise<Map<string, Tensor>> {
  const constants = new Map<string, Tensor>();
  for (const proto of graph.initializer) {
    const where = `${name}: tensor ${JSON.stringify(proto.name)}`;
    if (proto.dataLocation !== Location.EXTERNAL) {
      constants.set(proto.name, readTensor(proto, where));
      continue;
    }
    const place = externalDataOf(proto, where);
    if (!external) {
      throw new FormatError(
        `${where} lies in another file, ${JSON.stringify(place.location)}, which bytes alone do not give. Open the model by its path.`,
      );
    }
    const found = await external(place, where, (bytes) => checkRawBytes(proto, bytes, where));
    constants.set(proto.name, readTensor(proto, where, found));
  }
  return constants;
}

function inputsOf({ input, initializer }: GraphProto): OnnxInput[] {
  const stored = new Set(initializer.map(({ name }) => name));
  return input.filter(({ name }) => !stored.has(name)).map(inputOf);
}

function inputOf({ name, type }: ValueInfoProto): OnnxInput {
  if (type?.value.case !== "tensorType")
    return { name, dtype: undefined, type: type?.value.case ?? "nothing", shape: undefined };
  const { elemType, shape } = type.value.value;
  return {
    name,
    dtype: dtypeOf(elemType),
    type: typeName(elemType),
    // A size of 0 or less stands for an open axis in old files.
    shape: shape?.dim.map(({ value }) =>
      value.case === "dimValue" && value.value > 0n ? Number(value.value) : undefined,
    ),
  };
}
