import type { Condition, Model } from "../models/index.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime, Values } from "../runtime/index.ts";
import { input, sizeOf } from "../tensor/index.ts";

/** Conditions of prompts, computed once with the frozen encoder. */
export interface Conditions {
  /**
   * Values of the inputs that `conditionInputs` declares, for a batch of prompts: row b belongs to prompts[b]. With
   * guidance, the unconditional rows too.
   */
  feeds(prompts: readonly string[]): Values;
}

/** Inputs `prefix.name` for each part of the condition. */
export const conditionInputs = (model: Model, batch: number, prefix: "condition" | "unconditional"): Condition =>
  Object.fromEntries(
    Object.entries(model.conditionShapes).map(([name, shape]) => [name, input(`${prefix}.${name}`, [batch, ...shape])]),
  );

/** Encodes each distinct prompt, and "" where guidance needs it. Throws ConfigError for a prompt the model cannot read. */
export async function encodePrompts(
  runtime: Runtime,
  model: Model,
  prompts: readonly string[],
  guidance = 1,
): Promise<Conditions> {
  const distinct = [...new Set(guidance === 1 ? prompts : [...prompts, ""])];
  const tokens = input("tokens", [distinct.length, model.tokenLength], "int32");
  const program = await runtime.compile(model.encode(asConstants(model.weights), tokens));
  const encoded = await program.run({ tokens: model.tokenize(distinct) });
  const table = Object.fromEntries(Object.entries(encoded).map(([name, data]) => [name, data.slice()]));
  await program.release();
  const indexOf = new Map(distinct.map((prompt, i) => [prompt, i]));

  const rows = (wanted: readonly string[], prefix: "condition" | "unconditional"): Values =>
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
    );
  return {
    feeds(wanted) {
      const conditional = rows(wanted, "condition");
      if (guidance === 1) return conditional;
      const empty = new Array<string>(wanted.length).fill("");
      return { ...conditional, ...rows(empty, "unconditional") };
    },
  };
}
