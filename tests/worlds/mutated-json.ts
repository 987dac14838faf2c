import fc from "fast-check";

/** JSON as it is written: keys can stand twice, and a literal need not be valid. */
type Tree = { entries: [key: string, value: Tree][] } | { items: Tree[] } | { literal: string };

/** Values that readers do not expect: of other types, out of range, deep, or names that mean something in JavaScript. */
const literal = fc.constantFrom(
  ...[
    "null",
    "true",
    "false",
    "0",
    "-1",
    "0.5",
    "1e999",
    "-1e308",
    "5e-324",
    "9007199254740993",
    "2147483648",
    "4",
    "[]",
  ],
  ...["{}", '""', '"x"', '"../../etc/passwd"', '"/etc/passwd"', '"C:\\\\x"', '"a\\u0000b"', '"\\ud800"', '"__proto__"'],
  ...['"(a+)+$"', '"NaN"', "NaN", "[[]]", "[null]", "[1,2,3]", '["x","y"]', '{"toString":null,"valueOf":1}'],
  ...['{"__proto__":{"x":1}}', '{"length":1e9}', "[".repeat(100) + "]".repeat(100), `"${"x".repeat(8000)}"`],
);
const name = fc.constantFrom("__proto__", "constructor", "toString", "", "a/b", "..", "a.b", "x", "\ud800", "0");

const at = fc.noBias(fc.nat()); // of the place
export const jsonMutation = fc.record({
  kind: fc.constantFrom("replace", "replace", "replace", "drop", "repeat", "rename", "swap"),
  at,
  other: at,
  literal,
  name,
});
export type JsonMutation = typeof jsonMutation extends fc.Arbitrary<infer T> ? T : never;
export const jsonMutations = fc.array(jsonMutation, { minLength: 1, maxLength: 3 });

/** A JSON text with values replaced, left out, written twice, under another key, or exchanged. */
export function mutatedJson(text: string, mutations: readonly JsonMutation[]): string {
  const root = { items: [treeOf(JSON.parse(text))] };
  for (const { kind, at, other, literal, name } of mutations) {
    const places = placesIn(root);
    if (places.length === 0) break;
    const { parent, index } = places[at % places.length]!;
    const second = places[other % places.length]!;
    if (kind === "replace") put(parent, index, { literal });
    else if (kind === "drop") listOf(parent).splice(index, 1);
    else if (kind === "repeat") (listOf(parent) as unknown[]).push(listOf(parent)[index]);
    else if (kind === "swap") put(parent, index, treeOf(JSON.parse(plain(second))));
    else if ("entries" in parent) parent.entries[index] = [name, parent.entries[index]![1]];
  }
  return root.items.map(textOf).join("");
}

interface Place {
  parent: Exclude<Tree, { literal: string }>;
  index: number;
}

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { items: value.map(treeOf) };
  if (typeof value !== "object" || value === null) return { literal: JSON.stringify(value) };
  return { entries: Object.entries(value).map(([key, item]) => [key, treeOf(item)]) };
}

function textOf(tree: Tree): string {
  if ("literal" in tree) return tree.literal;
  if ("items" in tree) return `[${tree.items.map(textOf).join(",")}]`;
  return `{${tree.entries.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(",")}}`;
}

const listOf = (parent: Place["parent"]): unknown[] => ("items" in parent ? parent.items : parent.entries);
const valueAt = ({ parent, index }: Place): Tree =>
  "items" in parent ? parent.items[index]! : parent.entries[index]![1];

function put(parent: Place["parent"], index: number, value: Tree): void {
  if ("items" in parent) parent.items[index] = value;
  else parent.entries[index] = [parent.entries[index]![0], value];
}

/** Every value below a tree, outermost first. */
function placesIn(tree: Tree): Place[] {
  if ("literal" in tree) return [];
  return listOf(tree).flatMap((_, index) => {
    const place = { parent: tree, index };
    return [place, ...placesIn(valueAt(place))];
  });
}

/** The text of a place when it is valid JSON, else null. */
function plain(place: Place): string {
  const text = textOf(valueAt(place));
  try {
    JSON.parse(text);
    return text;
  } catch {
    return "null";
  }
}
