import type { NamedArrays } from "../core/named-arrays.ts";
import type { RunDirectory } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { RunConfig } from "./config.ts";
import type { Parts } from "./prepare.ts";

/** What the loop is given, wherever the run is kept. */
export interface LoopOptions {
  config: Pick<RunConfig, "train" | "evaluate">;
  parts: Parts;
  runtime: Runtime;
  signal?: AbortSignal | undefined;
  /** Measures the policy every `evaluate.every` updates. */
  probe?: (policy: NamedArrays) => Promise<Record<string, number>>;
}

export interface FinetuneOptions extends LoopOptions {
  directory: RunDirectory;
}
