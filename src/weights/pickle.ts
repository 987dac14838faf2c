import { FormatError } from "../core/errors.ts";
import { showValue } from "./show-value.ts";

// A pickle is a program for a stack machine: it pushes values, and calls the Python functions that it names. This machine
// knows the instructions that torch.save writes for state dicts and calls nothing but the functions of a table that the
// caller gives; it can run no code. What it makes grows at most in proportion to the program: no instruction copies.

export class PickleTuple {
  readonly items: readonly unknown[];
  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

export class PickleDict {
  /** Made with the first entry: an empty dict takes one byte of a program. */
  entries: Map<string | number, unknown> | undefined;
}

/** A Python function or class that a program may call. */
export class PickleFunction {
  readonly call: (args: readonly unknown[]) => unknown;
  constructor(call: (args: readonly unknown[]) => unknown) {
    this.call = call;
  }
}

export interface PickleRules {
  /** What a Python name such as `collections.OrderedDict` stands for; every other name is refused. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** The object behind a persistent id: torch.save keeps storages outside of the pickle. */
  persistent(id: unknown): unknown;
}

/**
 * Runs a pickle. Lists are arrays, numbers and integers within 2⁵³ are numbers, longer integers bigint. Throws
 * FormatError, naming `source`, for every instruction and every global that is not allowed.
 */
export function readPickle(bytes: Uint8Array, rules: PickleRules, source: string): unknown {
  const machine = new Machine(bytes, rules, source);
  for (let code = machine.uint8(); code !== STOP; code = machine.uint8()) {
    const instruction = instructions.get(code);
    if (!instruction) {
      throw machine.error(`the instruction 0x${code.toString(16).padStart(2, "0")} is not one that a state dict needs`);
    }
    instruction(machine);
  }
  return machine.result();
}

const STOP = 0x2e;
const MAX_PROTOCOL = 5;

class Machine {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly rules: PickleRules;
  private readonly source: string;
  private at = 0;
  private stack: unknown[] = [];
  /** The stacks below the marks. */
  private readonly marked: unknown[][] = [];
  private readonly memo = new Map<number, unknown>();

  constructor(bytes: Uint8Array, rules: PickleRules, source: string) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.rules = rules;
    this.source = source;
  }

  error(what: string): FormatError {
    return new FormatError(`${this.source}: the pickle cannot be read (byte ${this.at}): ${what}.`);
  }

  /** Moves on by `count` bytes of the program; gives where they start. */
  skip(count: number): number {
    const start = this.at;
    if (count > this.bytes.length - start) throw this.error("it is cut short");
    this.at += count;
    return start;
  }

  uint8 = (): number => this.view.getUint8(this.skip(1));
  uint16 = (): number => this.view.getUint16(this.skip(2), true);
  int32 = (): number => this.view.getInt32(this.skip(4), true);
  uint32 = (): number => this.view.getUint32(this.skip(4), true);
  uint64 = (): number => Number(this.view.getBigUint64(this.skip(8), true));
  float64 = (): number => this.view.getFloat64(this.skip(8), false);

  /** A little-endian integer in two's complement. */
  long(length: number): number | bigint {
    const start = this.skip(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i]!);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  text(length: number): string {
    const start = this.skip(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes.subarray(start, this.at));
    } catch {
      throw this.error("a text is not UTF-8");
    }
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw this.error("it is cut short");
    const text = this.text(end - this.at);
    this.skip(1);
    return text;
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length === 0) throw this.error("it takes a value from an empty stack");
    return this.stack.pop();
  }

  top(): unknown {
    if (this.stack.length === 0) throw this.error("it takes a value from an empty stack");
    return this.stack.at(-1);
  }

  mark(): void {
    this.marked.push(this.stack);
    this.stack = [];
  }

  /** The values since the last mark. */
  popMarked(): unknown[] {
    const values = this.stack;
    const below = this.marked.pop();
    if (!below) throw this.error("a mark is missing");
    this.stack = below;
    return values;
  }

  popTuple(length: number): void {
    const items = Array.from({ length }, () => this.pop()).reverse();
    this.push(new PickleTuple(items));
  }

  put(index = this.memo.size): void {
    this.memo.set(index, this.top());
  }

  get(index: number): void {
    if (!this.memo.has(index)) throw this.error(`it asks for value ${index}, which it did not store`);
    this.push(this.memo.get(index));
  }

  append(values: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.error("it appends to what is no list");
    for (const value of values) list.push(value);
  }

  setItems(values: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof PickleDict)) throw this.error("it sets an entry of what is no dict");
    if (values.length % 2 !== 0) throw this.error("a key has no value");
    for (let i = 0; i < values.length; i += 2) {
      const key = values[i];
      if (typeof key !== "string" && typeof key !== "number") throw this.error("a key is neither text nor number");
      dict.entries ??= new Map();
      if (dict.entries.has(key)) throw this.error(`a dict has the key ${showValue(key)} twice`);
      dict.entries.set(key, values[i + 1]);
    }
  }

  global(module: unknown, name: unknown): void {
    const full = `${module}.${name}`;
    if (!this.rules.globals.has(full)) {
      throw this.error(
        `it names the global ${showValue(full)}, which no state dict needs and which is not run. Load the file in PyTorch, if you trust it, and save its state_dict()`,
      );
    }
    this.push(this.rules.globals.get(full));
  }

  reduce(): void {
    const args = this.pop();
    const called = this.pop();
    if (!(called instanceof PickleFunction) || !(args instanceof PickleTuple)) {
      throw this.error("it calls what is no function");
    }
    this.push(called.call(args.items));
  }

  /** Attributes: torch gives a state dict `_metadata`, which has no tensors. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof PickleDict)) throw this.error("it sets attributes of what is no dict");
  }

  persistent(): void {
    this.push(this.rules.persistent(this.pop()));
  }

  result(): unknown {
    const value = this.pop();
    if (this.stack.length > 0 || this.marked.length > 0) throw this.error("it leaves more than one value");
    if (this.at !== this.bytes.length) throw this.error("bytes follow its end");
    return value;
  }
}

/** Instructions by their byte, with the names that Python's pickletools gives them. */
const instructions: ReadonlyMap<number, (machine: Machine) => void> = new Map<number, (machine: Machine) => void>([
  [0x80, (m) => checkProtocol(m, m.uint8())], // PROTO
  [0x95, (m) => m.uint64()], // FRAME: says how many bytes belong together
  [0x28, (m) => m.mark()], // MARK
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4b, (m) => m.push(m.uint8())], // BININT1
  [0x4d, (m) => m.push(m.uint16())], // BININT2
  [0x4a, (m) => m.push(m.int32())], // BININT
  [0x8a, (m) => m.push(m.long(m.uint8()))], // LONG1
  [0x47, (m) => m.push(m.float64())], // BINFLOAT
  [0x8c, (m) => m.push(m.text(m.uint8()))], // SHORT_BINUNICODE
  [0x58, (m) => m.push(m.text(m.uint32()))], // BINUNICODE
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x61, (m) => m.append([m.pop()])], // APPEND
  [0x65, (m) => m.append(m.popMarked())], // APPENDS
  [0x7d, (m) => m.push(new PickleDict())], // EMPTY_DICT
  [0x73, (m) => m.setItems([m.pop(), m.pop()].reverse())], // SETITEM
  [0x75, (m) => m.setItems(m.popMarked())], // SETITEMS
  [0x29, (m) => m.popTuple(0)], // EMPTY_TUPLE
  [0x85, (m) => m.popTuple(1)], // TUPLE1
  [0x86, (m) => m.popTuple(2)], // TUPLE2
  [0x87, (m) => m.popTuple(3)], // TUPLE3
  [0x74, (m) => m.push(new PickleTuple(m.popMarked()))], // TUPLE
  [0x71, (m) => m.put(m.uint8())], // BINPUT
  [0x72, (m) => m.put(m.uint32())], // LONG_BINPUT
  [0x94, (m) => m.put()], // MEMOIZE
  [0x68, (m) => m.get(m.uint8())], // BINGET
  [0x6a, (m) => m.get(m.uint32())], // LONG_BINGET
  [0x63, (m) => m.global(m.line(), m.line())], // GLOBAL
  [0x93, (m) => stackGlobal(m)], // STACK_GLOBAL
  [0x52, (m) => m.reduce()], // REDUCE
  [0x62, (m) => m.build()], // BUILD
  [0x51, (m) => m.persistent()], // BINPERSID
]);

function checkProtocol(machine: Machine, protocol: number): void {
  if (protocol > MAX_PROTOCOL) throw machine.error(`its protocol is ${protocol}; ${MAX_PROTOCOL} is the newest known`);
}

function stackGlobal(machine: Machine): void {
  const name = machine.pop();
  machine.global(machine.pop(), name);
}
