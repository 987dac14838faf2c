import type { z } from "zod";
import { ConfigError } from "../core/errors.ts";

/**
 * Checks the `config.json` of a diffusers or transformers component. Keys with a leading underscore (`_class_name`) say
 * who wrote the file and are left out. Throws ConfigError that lists every key the schema refuses.
 */
export function parseConfig<T>(what: string, schema: z.ZodType<T>, json: unknown): T {
  const plain =
    typeof json === "object" && json !== null && !Array.isArray(json)
      ? Object.fromEntries(Object.entries(json).filter(([key]) => !key.startsWith("_")))
      : json;
  const parsed = schema.safeParse(plain);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    path.length > 0 ? `  ${path.join(".")}: ${message}` : `  ${message}`,
  );
  throw new ConfigError(`This ${what} configuration is not supported:\n${problems.join("\n")}`);
}
