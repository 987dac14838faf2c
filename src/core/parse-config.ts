import { z } from "zod";
import { ConfigError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** Plain data as YAML and JSON hold it. */
export type ConfigData = { [key: string]: unknown };

/** Checks data against a schema. Every problem becomes one line: key, what was expected, what came, nearest known name. */
export function parseConfig<T>(schema: z.ZodType<T>, data: unknown, source: string): T {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap((issue) => describeIssue(issue, schema, data));
  const shown = lines.slice(0, MAX_LINES).map((line) => `  ${cut(line, MAX_LINE)}`);
  const more = lines.length > MAX_LINES ? `\n  … (${lines.length} in all)` : "";
  throw new ConfigError(`${source}:\n${shown.join("\n")}${more}`);
}

const MAX_LINES = 20;
const MAX_LINE = 1000; // characters; lists of known keys are long
const MAX_SHOWN = 200; // characters of a value

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most)}…` : text);

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, data: unknown): string[] {
  const key = issue.path.join(".") || "(top level)";
  const given = issue.path.reduce<unknown>((v, k) => (v as ConfigData)?.[k as string], data);
  const came = cut(JSON.stringify(given) ?? "nothing", MAX_SHOWN);
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((unknown) => {
      const guess = nearest(unknown, known);
      const path = [...issue.path, unknown].join(".");
      return `${path}: unknown key${guess ? `; did you mean "${guess}"?` : "."}${known.length > 0 ? ` Known keys here: ${known.join(", ")}.` : ""}`;
    });
  }
  return [`${key}: ${issue.message}, but ${came} came.`];
}

/** Keys of the object schema at `path`, looking through defaults, optionals and what is made of a parsed value. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let level: unknown = schema;
  const unwrap = (value: unknown): unknown => {
    let inner = value;
    for (;;) {
      if (inner instanceof z.ZodPipe) inner = inner.in;
      else if (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
        inner = inner.unwrap();
      } else return inner;
    }
  };
  for (const key of path) {
    const object = unwrap(level);
    if (!(object instanceof z.ZodObject)) return [];
    level = object.shape[key as string];
  }
  const object = unwrap(level);
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}
