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
  /** Weights of the law that x_0 is drawn from; they are part of the result. Default: x_0 ~ N(0, I). */
  initialLaw?: NamedArrays;
  /** Measures the policy every `evaluate.every` updates. */
  probe?: (policy: NamedArrays) => Promise<Record<string, number>>;
}

export interface FinetuneOptions extends LoopOptions {
  directory: RunDirectory;
}
