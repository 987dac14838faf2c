import { parse as parseYaml } from "yaml";
import { readBoundedText } from "./bounded-file.ts";
import { ConfigError, NablaError } from "./errors.ts";
import { MAX_JSON_DEPTH } from "./json-depth.ts";
import { nearest } from "./nearest.ts";
import type { ConfigData } from "./parse-config.ts";

export { type ConfigData, parseConfig } from "./parse-config.ts";

const isMapping = (value: unknown): value is ConfigData =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads a YAML (or JSON) configuration file: a mapping at the top, at most 64 levels deep. Throws ConfigError with file and
 * place, FormatError for a file that is too large or no text.
 */
export async function readConfigFile(path: string): Promise<ConfigData> {
  let text: string;
  try {
    text = await readBoundedText(path, "a configuration");
  } catch (error) {
    if (error instanceof NablaError) throw error;
    throw new ConfigError(`The configuration file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  let data: unknown;
  try {
    data = parseYaml(text, { logLevel: "error" });
  } catch (error) {
    throw new ConfigError(`${path} is not valid YAML: ${(error as Error).message}`);
  }
  if (!isMapping(data)) throw new ConfigError(`${path} must hold a mapping of keys at the top, such as "model: …".`);
  checkPlain(data, path, 0);
  return data;
}

/** Refuses what YAML can say and JSON cannot: an alias to what it stands in, and `__proto__`, which is no key here. */
function checkPlain(value: unknown, path: string, depth: number): void {
  if (depth > MAX_JSON_DEPTH) {
    throw new ConfigError(
      `${path}: a configuration is at most ${MAX_JSON_DEPTH} levels deep, but this is deeper, or has an alias (*name) inside of what it names.`,
    );
  }
  if (typeof value !== "object" || value === null) return;
  if (Object.hasOwn(value, "__proto__")) throw new ConfigError(`${path}: __proto__ is no key of a configuration.`);
  for (const item of Object.values(value)) checkPlain(item, path, depth + 1);
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

/** Splits `{ kind, …options }` and finds the kind; an unknown one is an error with the nearest known name. */
export function kindOf<K extends { kind: string }>(what: string, kinds: readonly K[], given: unknown): [K, ConfigData] {
  const names = kinds.map(({ kind }) => kind);
  if (!isMapping(given) || typeof given.kind !== "string") {
    throw new ConfigError(
      `${what}: needs { kind: … } with one of ${names.join(", ")}, but ${(JSON.stringify(given) ?? "nothing").slice(0, 200)} came.`,
    );
  }
  const { kind, ...options } = given;
  const found = kinds.find((k) => k.kind === kind);
  if (found) return [found, options];
  const guess = nearest(kind as string, names);
  throw new ConfigError(
    `${what}.kind: unknown kind "${(kind as string).slice(0, 100)}"${guess ? `; did you mean "${guess}"?` : "."} Known: ${names.join(", ")}. (nabla list shows them all)`,
  );
}
