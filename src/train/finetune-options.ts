import type { NamedArrays } from "../core/named-arrays.ts";
import type { RunDirectory } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { RunConfig } from "./config.ts";
import type { Parts } from "./prepare.ts";

export interface FinetuneOptions {
  config: RunConfig;
  parts: Parts;
  runtime: Runtime;
  directory: RunDirectory;
  signal?: AbortSignal | undefined;
  /** Measures the policy every `evaluate.every` updates. */
  probe?: (policy: NamedArrays) => Promise<Record<string, number>>;
}
