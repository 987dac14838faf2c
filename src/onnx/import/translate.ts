import type { NodeProto } from "onnx-buf";
import { FormatError, ShapeError } from "../../core/errors.ts";
import { showShape, type Tensor } from "../../tensor/index.ts";
import { fold } from "./fold.ts";
import type { OnnxInput, OnnxModel } from "./model.ts";
import { OnnxNode, type Translation } from "./node.ts";
import { domains } from "./operators/index.ts";

/** Numbers in one value: 1 GiB of float32. A model that asks for more, by a shape it states, is refused. */
const MAX_VALUE = 2 ** 28;

/** The part of a graph that some outputs depend on. */
export interface NeededPart {
  nodes: readonly NodeProto[];
  inputs: readonly OnnxInput[];
}

/** Nodes and inputs that the outputs depend on. Throws FormatError for outputs that the model does not make. */
export function neededPart(model: OnnxModel, outputs: readonly string[]): NeededPart {
  const needed = new Set(outputs);
  const nodes: NodeProto[] = [];
  for (const node of model.nodes.toReversed()) {
    if (!node.output.some((value) => value !== "" && needed.has(value))) continue;
    nodes.push(node);
    for (const value of node.input) needed.add(value);
  }
  const made = new Set([...model.nodes.flatMap(({ output }) => output), ...model.inputs.map(({ name }) => name)]);
  for (const output of outputs) {
    if (made.has(output) || model.constants.has(output)) continue;
    throw new FormatError(
      `${model.name} makes no value ${JSON.stringify(output)}. Its outputs: ${model.outputs.join(", ")}.`,
    );
  }
  return { nodes: nodes.toReversed(), inputs: model.inputs.filter(({ name }) => needed.has(name)) };
}

/**
 * Has a say in what a node gives: `translate` makes the node's results, also of other operands than its own. The results
 * have the shapes that the node's own have.
 */
export type AdaptNode = (
  node: NodeProto,
  operands: readonly (Tensor | undefined)[],
  translate: (operands: readonly (Tensor | undefined)[]) => readonly Tensor[],
) => readonly Tensor[];

/**
 * The outputs of a model, any of its values by name, as tensors of the given inputs: a graph like any other, which can be
 * differentiated, joined with other graphs and compiled. Shapes are those of the inputs; the shape arithmetic of the model is
 * done at once. Only what the outputs depend on is translated and needs its inputs. `adapt` may change what nodes give.
 *
 * Throws ShapeError for inputs that are missing or do not fit, FormatError for operators without a translation and for nodes
 * that are not what ONNX says.
 */
export function importOnnx(
  model: OnnxModel,
  inputs: Readonly<Record<string, Tensor>>,
  outputs: readonly string[] = model.outputs,
  adapt: AdaptNode = (_, operands, translate) => translate(operands),
): Record<string, Tensor> {
  const part = neededPart(model, outputs);
  const values = new Map<string, Tensor>(model.constants);
  for (const input of part.inputs) values.set(input.name, fitting(model, input, inputs[input.name]));
  for (const proto of part.nodes) {
    const results = translated(model, proto, values, adapt);
    for (const [k, result] of results.entries()) {
      const name = proto.output[k];
      if (name) values.set(name, result);
    }
  }
  return Object.fromEntries(outputs.map((name) => [name, valueNamed(model, values, name)]));
}

function fitting(model: OnnxModel, { name, shape, dtype, type }: OnnxInput, given: Tensor | undefined): Tensor {
  const want = `${model.name}: input ${JSON.stringify(name)} needs ${dtype ?? type} ${shape ? showAxes(shape) : "of any shape"}`;
  if (!given) throw new ShapeError(`${want}, but is not given.`);
  const fits =
    !shape || (shape.length === given.rank && shape.every((d, i) => (d ?? given.shape[i]) === given.shape[i]));
  if (!fits || given.dtype !== dtype)
    throw new ShapeError(`${want}, but ${given.dtype} ${showShape(given.shape)} came.`);
  return given;
}

/** Sizes of axes; "?" where a model leaves them open. */
export const showAxes = (shape: readonly (number | undefined)[]): string =>
  `[${shape.map((d) => d ?? "?").join(", ")}]`;

function valueNamed(model: OnnxModel, values: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const found = values.get(name);
  if (found) return found;
  throw new FormatError(
    `${model.name}: ${JSON.stringify(name)} is a later result of its node, such as an index or a statistic for training, that is not translated.`,
  );
}

function translated(
  model: OnnxModel,
  proto: NodeProto,
  values: ReadonlyMap<string, Tensor>,
  adapt: AdaptNode,
): readonly Tensor[] {
  const domain = proto.domain === "ai.onnx" ? "" : proto.domain;
  const opset = model.opsets.get(domain);
  const set = `${domain || "ai.onnx"} ${opset ?? "of no version"}`;
  const where = `${model.name}: node ${JSON.stringify(proto.name || (proto.output[0] ?? ""))} (${proto.opType}, ${set})`;
  if (opset === undefined)
    throw new FormatError(`${where}: the model does not state the version of this operator set.`);
  const operands = proto.input.map((name) => (name === "" ? undefined : valueNamed(model, values, name)));
  try {
    const translation = translationOf(domain, proto.opType, where);
    const list = adapt(proto, operands, (given) => {
      const results = translation(new OnnxNode(proto, given, opset, where, model.booleans));
      return Array.isArray(results) ? (results as readonly Tensor[]) : [results as Tensor];
    });
    checkSizes(list, operands, where);
    return list.map(fold);
  } catch (error) {
    if (error instanceof ShapeError) throw new FormatError(`${where}: ${error.message}`);
    throw error;
  }
}

/** Checks all values that a translation made, also those between operands and results. */
function checkSizes(results: readonly Tensor[], operands: readonly (Tensor | undefined)[], where: string): void {
  const seen = new Set(operands);
  const stack = [...results];
  for (let x = stack.pop(); x; x = stack.pop()) {
    if (seen.has(x)) continue;
    seen.add(x);
    if (x.shape.some((d) => !(Number.isInteger(d) && d >= 0)) || x.size > MAX_VALUE) {
      throw new FormatError(
        `${where}: a value has whole sizes and at most ${MAX_VALUE} numbers, but here one would be ${showShape(x.shape)}.`,
      );
    }
    stack.push(...x.inputs);
  }
}

function translationOf(domain: string, operator: string, where: string): Translation {
  const known = Object.hasOwn(domains, domain) ? domains[domain]! : {};
  if (Object.hasOwn(known, operator)) return known[operator]!;
  throw new FormatError(
    `${where}: this operator has no translation. It needs an entry in src/onnx/import/operators/ that writes it with differentiable tensor operators; or ask for an output that does not depend on it.`,
  );
}
