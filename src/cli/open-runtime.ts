import type { Runtime } from "../runtime/index.ts";
import { checkProvider, nodeRuntime } from "../runtime/node.ts";
import type { RunConfig } from "../train/config.ts";

/** The runtime that a configuration asks for. Throws ConfigError where its provider does not run. */
export async function openRuntime({ threads, provider }: RunConfig["train"]): Promise<Runtime> {
  await checkProvider(provider);
  return nodeRuntime({ threads, provider });
}
