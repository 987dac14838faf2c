import { join } from "node:path";
import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { nearest } from "../core/nearest.ts";
import { shippedPath } from "../core/package-root.ts";
import type { Params } from "../nn/index.ts";
import { constant, fill, gather, type Shape, type Tensor } from "../tensor/index.ts";
import { findWeights, readWeights } from "../weights/index.ts";
import { readJsonObject } from "../weights/parse-json.ts";
import type { Condition } from "./model.ts";
import { textEncoder } from "./text-encoder.ts";

const classId = z
  .int()
  .nonnegative()
  .max(2 ** 24); // whole numbers up to here are exact in float32

export const conditionOptions = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  z.strictObject({
    kind: z.literal("classes"),
    prompts: z
      .record(z.string(), classId)
      .refine((prompts) => Object.keys(prompts).length > 0, "needs at least one prompt with its class")
      .describe("the number of the class that each prompt stands for"),
    unconditional: classId.optional().describe('the class of the prompt "", which guidance needs'),
  }),
  z.strictObject({
    kind: z.literal("text"),
    path: z.string().describe("diffusers folder whose text_encoder and tokenizer the network was trained with"),
  }),
]);
export type ConditionOptions = z.output<typeof conditionOptions>;

/** What a denoiser is told of a prompt, and where it comes from. */
export interface PromptCondition {
  readonly weights: NamedArrays;
  readonly tokenLength: number;
  readonly shapes: Readonly<Record<string, Shape>>;
  tokenize(prompts: readonly string[]): Int32Array;
  encode(params: Params, tokens: Tensor): Condition;
  /** The value of the file's input: text [B, L, D], or class numbers [B]. undefined when it has none. */
  input?(condition: Condition): Tensor;
  /** What the flow network sees: [B, L, width]. */
  text(condition: Condition): Tensor;
  readonly width: number;
}

/** Reads what the options name. Throws ConfigError and FormatError for a folder without a text encoder that is supported. */
export async function promptCondition(options: ConditionOptions): Promise<PromptCondition> {
  if (options.kind === "text") return fromText(options.path);
  return options.kind === "classes" ? fromClasses(options) : noCondition();
}

/** Only the prompt "", which tells nothing. */
function noCondition(): PromptCondition {
  return {
    weights: {},
    tokenLength: 1,
    shapes: { nothing: [1, 1] },
    tokenize(prompts) {
      const told = prompts.find((prompt) => prompt !== "");
      if (told === undefined) return new Int32Array(prompts.length);
      throw new ConfigError(
        `This network takes no prompt, but ${JSON.stringify(told)} came. Leave the prompts out, or say with model.condition what they become (classes or text).`,
      );
    },
    encode: (_, tokens) => ({ nothing: fill([tokens.shape[0]!, 1, 1], 0) }),
    text: ({ nothing }) => nothing!,
    width: 1,
  };
}

/** A token is the place of a prompt in the list, where "" is the last if it has a class. */
function fromClasses({ prompts, unconditional }: ConditionOptions & { kind: "classes" }): PromptCondition {
  const ids = { ...prompts, ...(unconditional !== undefined && { "": unconditional }) };
  const names = Object.keys(ids);
  const count = names.length;
  const identity = Float32Array.from({ length: count * count }, (_, k) => (k % (count + 1) === 0 ? 1 : 0));
  const rows = (table: Float32Array, width: number, tokens: Tensor) => gather(constant(table, [count, width]), tokens);
  return {
    weights: {},
    tokenLength: 1,
    shapes: { class: [1, 1], prompt: [1, count] },
    tokenize: (wanted) => Int32Array.from(wanted, (prompt) => placeOf(prompt, names)),
    encode: (_, tokens) => ({
      class: rows(Float32Array.from(Object.values(ids)), 1, tokens),
      prompt: rows(identity, count, tokens),
    }),
    input: ({ class: id }) => id!.reshape([-1]),
    text: ({ prompt }) => prompt!,
    width: count,
  };
}

function placeOf(prompt: string, names: readonly string[]): number {
  const place = names.indexOf(prompt);
  if (place >= 0) return place;
  if (prompt === "") {
    throw new ConfigError(
      'The prompt "" needs a class: give model.condition.unconditional, or sampler.guidance: 1, which does without.',
    );
  }
  const guess = nearest(prompt, names);
  throw new ConfigError(
    `model.condition.prompts has no class for ${JSON.stringify(prompt)}${guess ? `; did you mean "${guess}"?` : "."} Known: ${names.map((name) => JSON.stringify(name)).join(", ")}.`,
  );
}

async function fromText(path: string): Promise<PromptCondition> {
  const folder = shippedPath(path);
  const dir = join(folder, "text_encoder");
  const { path: file } = await findWeights(dir);
  const part = { config: await readJsonObject(join(dir, "config.json")), weights: (await readWeights(file)).tensors };
  const text = await textEncoder(part, join(folder, "tokenizer"), dir);
  return {
    weights: text.weights,
    tokenLength: text.length,
    shapes: { text: [text.length, text.width] },
    tokenize: text.tokenize,
    encode: (params, tokens) => ({ text: text.encode(params, tokens) }),
    input: (condition) => condition.text!,
    text: (condition) => condition.text!,
    width: text.width,
  };
}
