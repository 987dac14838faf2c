import { z } from "zod";
import { type ConfigData, parseConfig, readConfigFile } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { objectiveKinds } from "../objectives/kinds.ts";

/** A row of a validation: what it sets in the configuration of each world. The world's beta is kept. */
export interface Method {
  readonly name: string;
  readonly set: { readonly objective: ConfigData & { readonly kind: string } } & ConfigData;
}

const part = z.looseObject({});
const methodsFile = z.strictObject({
  methods: z.record(
    z.string(),
    z.strictObject({
      objective: z.looseObject({ kind: z.string() }),
      train: part.optional(),
      sampler: part.optional(),
      evaluate: z.strictObject({ halfSteps: z.boolean() }).optional(),
    }),
  ),
});

/** Each objective with its defaults; where it is the one that a world names, with the world's options. */
export const plainMethods = (kinds = objectiveKinds.map(({ kind }) => kind)): Method[] =>
  kinds.map((kind) => ({ name: kind, set: { objective: { kind } } }));

/**
 * Reads `methods: { NAME: { objective: { kind, … }, train: { … }, sampler: { … }, evaluate: { halfSteps } } }`, of which
 * `objective` is needed.
 * `configs/…` also means the files that ship with the package. Throws ConfigError.
 */
export async function readMethods(path: string): Promise<Method[]> {
  const { methods } = parseConfig(methodsFile, await readConfigFile(shippedPath(path)), path);
  return Object.entries(methods).map(([name, given]) => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
      throw new ConfigError(
        `${path}: a name is a folder too, of at most 64 letters, digits, ".", "_" and "-", but ${JSON.stringify(name.slice(0, 100))} came.`,
      );
    }
    const { objective, ...rest } = given;
    return { name, set: { ...withoutUndefined(rest), objective } };
  });
}

const withoutUndefined = (parts: ConfigData): ConfigData =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
