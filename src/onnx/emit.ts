import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { ShapeError } from "../core/errors.ts";
import type { FileRegion } from "../core/named-arrays.ts";
import {
  type ConstantData,
  type OptionalOperator,
  operatorNamed,
  type Shape,
  showShape,
  type Tensor,
  topologicalOrder,
} from "../tensor/index.ts";
import { GraphBuilder, onnxType, valueInfo } from "./graph-builder.ts";
import { hideExtents } from "./hide-extents.ts";
import { locationIn, type WeightFiles, weightFiles } from "./weight-files.ts";

/** ONNX opset the emissions are written for, and the IR version that carries it. */
export const opset = 21;
const irVersion = 10n;

/** What a caller feeds or gets. */
export interface ValueInfo {
  shape: Shape;
  dtype: "float32" | "int32";
}

export interface EmitOptions {
  /** What the backend has of the operators that not every one has. Default: all, as the CPU. */
  operators?: readonly OptionalOperator[];
}

export interface EmittedModel {
  bytes: Uint8Array;
  /** What a caller must feed. */
  inputs: Readonly<Record<string, ValueInfo>>;
  outputs: Readonly<Record<string, ValueInfo>>;
  /** A further scalar input that whoever runs the model must feed 0, where the graph has a `checkpoint`. */
  zero?: string;
  /** Where the constants lie that are not in `bytes`. */
  files?: WeightFiles;
}

/**
 * Writes the graph of `outputs` as an ONNX model. Inputs are found by walking the graph; two inputs of one name must
 * agree. Equal sub-expressions become one node. Throws ShapeError for inputs of one name that differ, and for outputs in
 * float16 or with the name of an input.
 */
export function emitOnnx(
  outputs: Readonly<Record<string, Tensor>>,
  { operators = ["FusedMatMul", "QuickGelu", "Sin", "Cos"] }: EmitOptions = {},
): EmittedModel {
  const order = topologicalOrder(Object.values(outputs));
  const given = new Set(order.filter(({ op }) => op === "input").map(({ attrs }) => attrs.name as string));
  const results = Object.fromEntries(Object.entries(outputs).map(([name, y]) => [name, outputInfo(name, y, given)]));
  const builder = new GraphBuilder(new Set([...given, ...Object.keys(outputs)]), operators);
  const names = new Map<Tensor, string>();
  const inputs: Record<string, ValueInfo> = {};
  const constants = new Map<Tensor["data"], Map<string, string>>(); // array → shape → initializer
  const files = weightFiles(order.flatMap(({ data }) => (data && isInFile(data) ? [data] : [])));
  const emitConstant = (data: ConstantData, shape: Shape) =>
    isInFile(data) ? builder.fileConstant(data, locationIn(files!, data.path), shape) : builder.constant(data, shape);

  for (const tensor of order) {
    if (tensor.op === "input") {
      const name = tensor.attrs.name as string;
      const known = inputs[name];
      if (known && (known.shape.join() !== tensor.shape.join() || known.dtype !== tensor.dtype)) {
        const both = [known, tensor].map(({ dtype, shape }) => `${dtype} ${showShape(shape)}`).join(" and ");
        throw new ShapeError(`input "${name}" is used as ${both}: give them different names.`);
      }
      if (!known) {
        builder.input(name, tensor.dtype, tensor.shape);
        inputs[name] = infoOf(tensor);
      }
      names.set(tensor, name);
    } else if (tensor.op === "constant") {
      // One initializer per array and shape, whatever number of tensors refer to it.
      const shape = tensor.shape.join();
      const known = constants.get(tensor.data) ?? new Map<string, string>();
      const name = known.get(shape) ?? emitConstant(tensor.data!, tensor.shape);
      constants.set(tensor.data, known.set(shape, name));
      names.set(tensor, name);
    } else if (tensor.op === "fill") {
      names.set(tensor, emitFill(builder, tensor));
    } else {
      const operands = tensor.inputs.map((x) => names.get(x)!);
      // Operators that read like the emission of an equal tensor give the same nodes, since nodes are memoised.
      const node = { inputs: tensor.inputs, output: tensor, attrs: tensor.attrs };
      const key = `${tensor.op}(${operands.join()})${JSON.stringify(tensor.attrs)}`;
      names.set(
        tensor,
        builder.shared(key, () => operatorNamed(tensor.op).emit(builder, operands, node)),
      );
    }
  }

  const graphOutputs = Object.entries(outputs).map(([name, tensor]) => {
    // An output may be an input, a constant or another output's value: give each its own name.
    builder.alias(names.get(tensor)!, name);
    return valueInfo(name, tensor.dtype, tensor.shape);
  });

  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: "nablaflow",
    opsetImport: [
      { domain: "", version: BigInt(opset) },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: {
      name: "nablaflow",
      node: builder.protoNodes,
      initializer: builder.initializers,
      input: builder.inputs,
      output: graphOutputs,
    },
  });
  if (builder.zeroInput !== undefined) hideExtents(model.graph!);
  return {
    bytes: toBinary(ModelProtoSchema, model),
    inputs,
    outputs: results,
    ...(builder.zeroInput !== undefined && { zero: builder.zeroInput }),
    ...(files && { files }),
  };
}

const isInFile = (data: ConstantData): data is FileRegion => !ArrayBuffer.isView(data);

/** Inputs and outputs are never float16: `input` and `outputInfo` see to it. */
const infoOf = ({ shape, dtype }: Tensor): ValueInfo => ({ shape, dtype: dtype as ValueInfo["dtype"] });

function outputInfo(name: string, y: Tensor, inputs: ReadonlySet<string>): ValueInfo {
  if (y.dtype === "float16") {
    throw new ShapeError(
      `output "${name}": float32 or int32 is needed, but float16 came: it exists inside graphs only. Use cast("float32").`,
    );
  }
  if (inputs.has(name))
    throw new ShapeError(`output "${name}": inputs and outputs need different names, but an input has this one too.`);
  return infoOf(y);
}

function emitFill(builder: GraphBuilder, tensor: Tensor): string {
  const value = tensor.attrs.value as number;
  const scalar =
    tensor.dtype === "int32"
      ? builder.shared(`int32:${value}`, () => builder.constant(Int32Array.of(value), []))
      : tensor.dtype === "float16"
        ? builder.node("Cast", [builder.floats([value], [])], { to: onnxType.float16 })
        : builder.floats([value], []);
  return tensor.rank === 0 ? scalar : builder.node("Expand", [scalar, builder.ints(tensor.shape)]);
}
