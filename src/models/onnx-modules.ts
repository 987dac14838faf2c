import type { NodeProto } from "onnx-buf";
import type { OnnxModel } from "../onnx/index.ts";
import type { Shape } from "../tensor/index.ts";

/** A linear or convolution module of a network in an ONNX file. */
export interface OnnxModule {
  /** Stored tensors that are its weight; a file can hold it twice, as it was and transposed. */
  readonly weights: ReadonlySet<string>;
  /** As torch has it: [out, in] or [out, in, kh, kw]. */
  readonly shape: Shape;
}

export interface OnnxModules {
  /** Modules by name. */
  readonly modules: ReadonlyMap<string, OnnxModule>;
  /** The module of a node that multiplies by a weight, by the node's first output. */
  readonly ofNode: ReadonlyMap<string, string>;
}

interface Product {
  readonly node: NodeProto;
  readonly weight: string;
  readonly shape: Shape;
}

/**
 * The modules of a network: what MatMul, Gemm and Conv multiply by, where that is stored in the file as it is, or transposed or
 * renamed by a node. Grouped convolutions, products that Gemm scales, and weights on the left of MatMul are none.
 *
 * A weight that the exporter kept is called `NAME.weight`, its module NAME. Exporters fold transposes into new tensors
 * (`onnx::MatMul_1627`, `val_53`); such a module is named by the place in the network that its node keeps: in torch's older exporter
 * the node's name `/blocks.0/to_q/MatMul`, in the newer one its metadata. Without any, the tensor's name is what there is.
 */
export function onnxModules(model: OnnxModel): OnnxModules {
  const sources = storedSources(model);
  const products = model.nodes.flatMap((node) => productOf(model, node, sources) ?? []);
  const modules = new Map<string, { weights: Set<string>; shape: Shape }>();
  const ofNode = new Map<string, string>();
  for (const { node, weight, shape } of products) {
    const name = nameOf(weight, node, (place) => {
      const there = modules.get(place);
      if (!there || there.weights.has(weight)) return true;
      // The same matrix a second time, beside the one that kept its name; not another one in the same place.
      return String(there.shape) === String(shape) && there.weights.has(`${place}.weight`);
    });
    const module = modules.get(name) ?? { weights: new Set<string>(), shape };
    module.weights.add(weight);
    modules.set(name, module);
    ofNode.set(node.output[0]!, name);
  }
  return { modules, ofNode };
}

/** Names that exporters make up, which say nothing about the network. */
export const isMadeUp = (name: string): boolean => /::|\/|^_?val_\d+$|^\d+$/.test(name);

/** A stored tensor behind a value, and whether it is transposed. */
interface Source {
  readonly name: string;
  readonly transposed: boolean;
}

function storedSources(model: OnnxModel): Map<string, Source> {
  const sources = new Map<string, Source>();
  for (const [name, { dtype }] of model.constants)
    if (dtype === "float32" && !model.booleans.has(name)) sources.set(name, { name, transposed: false });
  for (const { opType, domain, input, output, attribute } of model.nodes) {
    const source = sources.get(input[0] ?? "");
    if (!source || (domain !== "" && domain !== "ai.onnx")) continue;
    const axes = attribute.find(({ name }) => name === "perm")?.ints.map(Number);
    const swaps =
      opType === "Transpose" && model.constants.get(source.name)!.rank === 2 && String(axes ?? [1, 0]) === "1,0";
    if (opType === "Identity") sources.set(output[0]!, source);
    if (swaps) sources.set(output[0]!, { name: source.name, transposed: !source.transposed });
  }
  return sources;
}

function productOf(model: OnnxModel, node: NodeProto, sources: ReadonlyMap<string, Source>): Product | undefined {
  const source = sources.get(node.input[1] ?? "");
  if (!source || (node.domain !== "" && node.domain !== "ai.onnx")) return undefined;
  const attribute = (name: string) => node.attribute.find((found) => found.name === name);
  const { shape } = model.constants.get(source.name)!;
  if (node.opType === "Conv") {
    const plain = shape.length === 4 && !source.transposed && Number(attribute("group")?.i ?? 1n) === 1;
    return plain ? { node, weight: source.name, shape } : undefined;
  }
  if (shape.length !== 2) return undefined;
  const gemm = node.opType === "Gemm";
  if (!gemm && node.opType !== "MatMul") return undefined;
  if (gemm && ((attribute("alpha")?.f ?? 1) !== 1 || Number(attribute("transA")?.i ?? 0n) !== 0)) return undefined;
  const asTorch = source.transposed !== (gemm && Number(attribute("transB")?.i ?? 0n) !== 0);
  const [rows, columns] = shape as [number, number];
  return { node, weight: source.name, shape: asTorch ? [rows, columns] : [columns, rows] };
}

function nameOf(weight: string, node: NodeProto, isFree: (place: string) => boolean): string {
  if (weight.includes(".") && !isMadeUp(weight)) return weight.replace(/\.weight$/, "");
  const place = placeOf(node);
  return place !== undefined && isFree(place) ? place : weight;
}

/** `blocks.0.to_q` of a node in that module; undefined when the node does not say. */
function placeOf({ name, metadataProps }: NodeProto): string | undefined {
  const scopes = metadataProps.find(({ key }) => key === "pkg.torch.onnx.name_scopes")?.value;
  // A list in Python's spelling: ['', 'blocks.0', 'blocks.0.to_q', 'linear_3'], the node's own name at the end.
  const inside = scopes === undefined ? undefined : [...scopes.matchAll(/'([^']*)'/g)].at(-2)?.[1];
  const path =
    inside ||
    name
      .split("/")
      .slice(0, -1)
      .filter((step) => step !== "")
      .join(".");
  return path === "" ? undefined : path;
}
