import { readFile } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { ConfigError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** Plain data as YAML and JSON hold it. */
export type ConfigData = { [key: string]: unknown };

const isMapping = (value: unknown): value is ConfigData =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads a YAML (or JSON) configuration file: a mapping at the top. Throws ConfigError with file and place. */
export async function readConfigFile(path: string): Promise<ConfigData> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new ConfigError(`The configuration file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  let data: unknown;
  try {
    data = parseYaml(text);
  } catch (error) {
    throw new ConfigError(`${path} is not valid YAML: ${(error as Error).message}`);
  }
  if (!isMapping(data)) throw new ConfigError(`${path} must hold a mapping of keys at the top, such as "model: …".`);
  return data;
}

/**
 * Applies `a.b=v` overrides in order; v is parsed as YAML. Another `kind` drops the options of the kind before it. Returns
 * a new configuration.
 */
export function applyOverrides(config: ConfigData, overrides: readonly string[]): ConfigData {
  const result = structuredClone(config);
  for (const override of overrides) {
    const at = override.indexOf("=");
    const path = override.slice(0, at).split(".");
    if (at < 1 || path.some((key) => key === "" || key === "__proto__")) {
      throw new ConfigError(`--set takes key=value such as train.seed=1, but "${override}" came.`);
    }
    let level = result;
    for (const key of path.slice(0, -1)) {
      if (!isMapping(level[key])) level[key] = {};
      level = level[key] as ConfigData;
    }
    const key = path[path.length - 1]!;
    let value: unknown;
    try {
      value = parseYaml(override.slice(at + 1));
    } catch (error) {
      throw new ConfigError(`--set ${override}: the value is not valid YAML: ${(error as Error).message}`);
    }
    if (key === "kind" && level.kind !== undefined && level.kind !== value) {
      for (const old of Object.keys(level)) delete level[old];
    }
    level[key] = value;
  }
  return result;
}

/** Later mappings win key by key; anything that is not a mapping, or is of another `kind`, is replaced whole. */
export function mergeConfig(base: ConfigData, over: ConfigData): ConfigData {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = result[key];
    result[key] = isMapping(before) && isMapping(value) && sameKind(before, value) ? mergeConfig(before, value) : value;
  }
  return result;
}

const sameKind = (before: ConfigData, after: ConfigData): boolean =>
  before.kind === undefined || after.kind === undefined || before.kind === after.kind;

/** Checks data against a schema. Every problem becomes one line: key, what was expected, what came, nearest known name. */
export function parseConfig<T>(schema: z.ZodType<T>, data: unknown, source: string): T {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap((issue) => describeIssue(issue, schema, data));
  throw new ConfigError(`${source}:\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, data: unknown): string[] {
  const key = issue.path.join(".") || "(top level)";
  const came =
    JSON.stringify(issue.path.reduce<unknown>((v, k) => (v as ConfigData)?.[k as string], data)) ?? "nothing";
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((unknown) => {
      const guess = nearest(unknown, known);
      const path = [...issue.path, unknown].join(".");
      return `${path}: unknown key${guess ? `; did you mean "${guess}"?` : ""}${known.length > 0 ? ` Known keys here: ${known.join(", ")}.` : ""}`;
    });
  }
  return [`${key}: ${issue.message}, but ${came} came.`];
}

/** Keys of the object schema at `path`, looking through defaults and optionals. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let level: unknown = schema;
  const unwrap = (value: unknown): unknown => {
    let inner = value;
    while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
      inner = inner.unwrap();
    }
    return inner;
  };
  for (const key of path) {
    const object = unwrap(level);
    if (!(object instanceof z.ZodObject)) return [];
    level = object.shape[key as string];
  }
  const object = unwrap(level);
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}

/** Splits `{ kind, …options }` and finds the kind; an unknown one is an error with the nearest known name. */
export function kindOf<K extends { kind: string }>(what: string, kinds: readonly K[], given: unknown): [K, ConfigData] {
  const names = kinds.map(({ kind }) => kind);
  if (!isMapping(given) || typeof given.kind !== "string") {
    throw new ConfigError(
      `${what}: needs { kind: … } with one of ${names.join(", ")}, but ${JSON.stringify(given)} came.`,
    );
  }
  const { kind, ...options } = given;
  const found = kinds.find((k) => k.kind === kind);
  if (found) return [found, options];
  const guess = nearest(kind as string, names);
  throw new ConfigError(
    `${what}.kind: unknown kind "${kind}"${guess ? `; did you mean "${guess}"?` : "."} Known: ${names.join(", ")}. (nabla list shows them all)`,
  );
}
