import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { FormatError } from "../../core/errors.ts";

/** Parts (messages, strings, single numbers) of a file, each of which becomes an object in memory. */
const MAX_PARTS = 8_000_000;
/** Messages inside messages: a graph in an attribute of a node in a graph … */
const MAX_DEPTH = 32;

/**
 * Walks over protobuf bytes without making objects, so that a small file cannot ask for much memory: two bytes are enough
 * for an empty message. Throws FormatError for lengths that leave their message, too many parts, or too deep nesting.
 */
export function checkStructure(root: DescMessage, bytes: Uint8Array, name: string): void {
  const reader = new BinaryReader(bytes);
  const fieldsOf = new Map<DescMessage, Map<number, DescField>>();
  let parts = 0;
  const fail = (rule: string): never => {
    throw new FormatError(`${name} is no ONNX model: ${rule}, but byte ${reader.pos} of ${bytes.length} breaks this.`);
  };

  const walk = (message: DescMessage, end: number, depth: number): void => {
    if (depth > MAX_DEPTH) fail(`messages lie at most ${MAX_DEPTH} deep`);
    const fields = fieldsOf.get(message) ?? new Map(message.fields.map((field) => [field.number, field]));
    fieldsOf.set(message, fields);
    while (reader.pos < end) {
      const [number, wire] = reader.tag();
      if (++parts > MAX_PARTS) fail(`a model has at most ${MAX_PARTS} parts`);
      if (wire !== WireType.LengthDelimited) {
        if (wire === WireType.StartGroup || wire === WireType.EndGroup) fail("there are no protobuf groups");
        reader.skip(wire, number);
      } else {
        const length = reader.uint32();
        const last = reader.pos + length;
        if (last > end) fail("every part ends inside the part that holds it");
        const field = fields.get(number);
        if (field?.message) walk(field.message, last, depth + 1);
        else if (field?.fieldKind === "list" && isVarint(field)) parts += length;
        reader.pos = last;
      }
      if (reader.pos > end) fail("every part ends inside the part that holds it");
    }
  };
  try {
    walk(root, bytes.length, 1);
  } catch (error) {
    if (error instanceof FormatError) throw error;
    fail(`it follows protobuf (${(error as Error).message})`); // the reader's own: a number or length that is cut off
  }
}

/** Scalar types whose numbers take 1 byte or more; floats (1 and 2) grow at most twofold when read. */
const isVarint = (field: DescField): boolean => field.scalar === undefined || ![1, 2, 9, 12].includes(field.scalar);
