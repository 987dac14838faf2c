import { type AttributeProto, AttributeProto_AttributeType as AttributeType, type NodeProto } from "onnx-buf";
import { FormatError } from "../../core/errors.ts";
import { showShape, type Tensor } from "../../tensor/index.ts";
import { isKnown, numbersOf } from "./fold.ts";
import { readTensor } from "./tensor-proto.ts";

/** Longest list of numbers that a node may give where this many positions or pieces would be made of it. */
const MAX_LIST = 2 ** 20;

/** A node of the graph with its operands: what a translation reads. Everything that does not fit ends in `fail`. */
export class OnnxNode {
  /** Version of the operator set that the node's operator is of. */
  readonly opset: number;
  /** Results that the model names; later ones may be left out. */
  readonly outputs: number;
  readonly #proto: NodeProto;
  readonly #operands: readonly (Tensor | undefined)[];
  readonly #where: string;
  readonly #booleans: ReadonlySet<string>;

  constructor(
    proto: NodeProto,
    operands: readonly (Tensor | undefined)[],
    opset: number,
    where: string,
    booleans: ReadonlySet<string>,
  ) {
    this.#proto = proto;
    this.#operands = operands;
    this.#where = where;
    this.#booleans = booleans;
    this.opset = opset;
    this.outputs = proto.output.length;
  }

  /** Throws FormatError that names file, node, operator and opset. */
  fail(rule: string): never {
    throw new FormatError(`${this.#where}: ${rule}`);
  }

  /** All operands that are given. */
  get operands(): readonly Tensor[] {
    return this.#operands.filter((x) => x !== undefined);
  }

  /** Operand k, which the operator needs. */
  x(k: number): Tensor {
    return (
      this.#operands[k] ?? this.fail(`operand ${k} is needed, but the node has ${this.#operands.length} operands.`)
    );
  }

  /** Operand k, if it is given. */
  optional(k: number): Tensor | undefined {
    return this.#operands[k];
  }

  /** Operand k, which must have one of the given numbers of axes. */
  ofRank(k: number, ...ranks: readonly number[]): Tensor {
    const x = this.x(k);
    if (!ranks.includes(x.rank))
      this.fail(`operand ${k} needs ${ranks.join(" or ")} axes, but has the shape ${showShape(x.shape)}.`);
    return x;
  }

  /** True when operand k is a boolean, a mask of 0 and 1 here. */
  isBoolean(k: number): boolean {
    return this.#booleans.has(this.#proto.input[k] ?? "");
  }

  /** The numbers of operand k, known while the graph is built; undefined when it is not given. */
  known(k: number): number[] | undefined {
    const x = this.optional(k);
    if (!x) return undefined;
    if (!isKnown(x) || x.size > MAX_LIST) {
      this.fail(
        `operand ${k} must follow from constants and shapes and have at most ${MAX_LIST} numbers: graphs have fixed shapes here. It depends on "${x.op}" of shape ${showShape(x.shape)}.`,
      );
    }
    return numbersOf(x);
  }

  /** The one number of operand k, known while the graph is built. */
  knownNumber(k: number): number | undefined {
    const values = this.known(k);
    if (values && values.length !== 1) this.fail(`operand ${k} is one number, but ${values.length} came.`);
    return values?.[0];
  }

  has(name: string): boolean {
    return this.#attribute(name) !== undefined;
  }

  int(name: string, fallback: number): number {
    const given = this.#attribute(name, AttributeType.INT);
    return given ? this.#whole(name, given.i) : fallback;
  }

  /** An attribute that is 0 or 1. */
  flag(name: string, fallback = false): boolean {
    return this.int(name, Number(fallback)) !== 0;
  }

  ints(name: string): number[] | undefined {
    return this.#attribute(name, AttributeType.INTS)?.ints.map((i) => this.#whole(name, i));
  }

  float(name: string, fallback: number): number {
    return this.#attribute(name, AttributeType.FLOAT)?.f ?? fallback;
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name, AttributeType.FLOATS)?.floats;
  }

  /** A word, one of `known` when these are given. */
  word<Word extends string>(name: string, fallback: Word, known?: readonly Word[]): Word {
    const given = this.#attribute(name, AttributeType.STRING);
    const word = given ? new TextDecoder().decode(given.s) : fallback;
    if (known && !known.includes(word as Word))
      this.fail(`${name} is translated for ${known.join(", ")}, but is ${JSON.stringify(word)}.`);
    return word as Word;
  }

  tensor(name: string): Tensor | undefined {
    const given = this.#attribute(name, AttributeType.TENSOR);
    if (given && (!given.t || given.t.externalData.length > 0)) this.fail(`${name} must hold its own numbers.`);
    return given && readTensor(given.t!, `${this.#where}: ${name}`);
  }

  #attribute(name: string, type?: AttributeType): AttributeProto | undefined {
    const found = this.#proto.attribute.find((attribute) => attribute.name === name);
    if (found?.refAttrName) this.fail(`${name} refers to an attribute of a function, but there is none around.`);
    // Files of before IR version 2 do not say the type.
    if (found && type !== undefined && found.type !== type && found.type !== AttributeType.UNDEFINED)
      this.fail(`${name} must be of type ${AttributeType[type]}, but is ${AttributeType[found.type] ?? found.type}.`);
    return found;
  }

  #whole(name: string, value: bigint): number {
    const bound = 2n ** 53n;
    if (value > -bound && value < bound) return Number(value);
    // "To the end" of an axis, as exporters write it.
    if (value >= 2n ** 62n || value <= -(2n ** 62n)) return value > 0n ? 0x7fffffff : -0x80000000;
    return this.fail(`${name} must be a number below 2^53, but is ${value}.`);
  }
}

/** Translates a node into tensors: its results in order; those after the ones given are not translated. */
export type Translation = (node: OnnxNode) => Tensor | readonly Tensor[];
/** Translations by operator. */
export type Translations = Readonly<Record<string, Translation>>;
