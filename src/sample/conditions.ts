import type { Model } from "../models/index.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime, Values } from "../runtime/index.ts";
import { input, sizeOf } from "../tensor/index.ts";

/** Conditions of prompts, computed once with the frozen encoder. */
export interface Conditions {
  /** Condition arrays of a batch of prompts, by condition name: row b belongs to prompts[b]. */
  rows(prompts: readonly string[], prefix: string): Values;
}

/** Encodes each distinct prompt, and "" for guidance. Throws ConfigError for a prompt the model cannot read. */
export async function encodePrompts(runtime: Runtime, model: Model, prompts: readonly string[]): Promise<Conditions> {
  const distinct = [...new Set(prompts)];
  const tokens = input("tokens", [distinct.length, model.tokenLength], "int32");
  const program = await runtime.compile(model.encode(asConstants(model.weights), tokens));
  const encoded = await program.run({ tokens: model.tokenize(distinct) });
  const table = Object.fromEntries(Object.entries(encoded).map(([name, data]) => [name, data.slice()]));
  await program.release();
  const indexOf = new Map(distinct.map((prompt, i) => [prompt, i]));

  return {
    rows: (wanted, prefix) =>
      Object.fromEntries(
        Object.entries(model.conditionShapes).map(([name, shape]) => {
          const size = sizeOf(shape);
          const out = new Float32Array(wanted.length * size);
          wanted.forEach((prompt, b) => {
            const i = indexOf.get(prompt);
            if (i === undefined) throw new Error(`prompt "${prompt}" was not encoded`);
            out.set(table[name]!.subarray(i * size, (i + 1) * size), b * size);
          });
          return [`${prefix}.${name}`, out];
        }),
      ),
  };
}
