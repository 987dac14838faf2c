import fc from "fast-check";

/** Changes of bytes: other values, ranges that are cut out, doubled or set to one byte, numbers of any size. */
const at = fc.noBias(fc.nat()); // of the place; bias would change the first bytes over and over
export const mutation = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at, value: fc.nat(255) }),
  fc.record({ kind: fc.constant("flip" as const), at, value: fc.nat(7) }),
  fc.record({ kind: fc.constant("cut" as const), at, value: fc.nat(40) }),
  fc.record({ kind: fc.constant("double" as const), at, value: fc.nat(80) }),
  fc.record({ kind: fc.constant("end" as const), at, value: fc.constant(0) }),
  fc.record({
    kind: fc.constant("uint32" as const),
    at,
    value: fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x06054b50, 0x02014b50, 0x04034b50),
  }),
);
export const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });
export type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

export function mutated(bytes: Uint8Array, { kind, at, value }: Mutation): Uint8Array {
  if (bytes.length === 0) return bytes;
  const place = at % bytes.length;
  const copy = Uint8Array.from(bytes);
  if (kind === "set") copy[place] = value;
  else if (kind === "flip") copy[place]! ^= 1 << value;
  else if (kind === "uint32")
    copy.set(new Uint8Array(Uint32Array.of(value).buffer).subarray(0, bytes.length - place), place);
  else if (kind === "end") return copy.subarray(0, place);
  else if (kind === "cut") return Uint8Array.from([...copy.subarray(0, place), ...copy.subarray(place + value)]);
  else if (kind === "double") return Uint8Array.from([...copy.subarray(0, place + value), ...copy.subarray(place)]);
  return copy;
}
