import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { readBoundedText } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import { isJsonObject, parseJson } from "../core/parse-json.ts";
import { BOS, clipTokenizerJson, EOS, parseMerges, type Vocabulary } from "./clip-tokenizer.ts";
import { checkTokenizerJson } from "./tokenizer-json.ts";

const MAX_TOKENIZER_BYTES = 2 ** 26; // the largest have some 250,000 tokens

/** Turns prompts into token ids for a CLIP text encoder. */
export interface PromptTokenizer {
  /**
   * [B, maxLength] ids: BOS, the prompt, EOS, then padding. Too long a prompt loses its end, never its EOS, as in CLIP.
   * The padding is the pad token that the folder names: EOS for Stable Diffusion 1.5 and our own model.
   */
  encode(prompts: readonly string[], maxLength: number): Int32Array;
  bosId: number;
  eosId: number;
  padId: number;
  vocabSize: number;
}

/**
 * Loads a CLIP tokenizer folder: tokenizer.json, or vocab.json with merges.txt where it is absent (Stable Diffusion
 * folders), and the pad token from tokenizer_config.json or special_tokens_map.json. Throws FormatError if it is not CLIP's.
 */
export async function loadTokenizer(dir: string): Promise<PromptTokenizer> {
  const config = (await readJson(join(dir, "tokenizer_config.json"))) ?? {};
  const specials = (await readJson(join(dir, "special_tokens_map.json"))) ?? {};
  const json = (await readJson(join(dir, "tokenizer.json"))) ?? (await fromVocabulary(dir));
  const tokenizer = buildTokenizer(json, config, dir);
  const idOf = (token: string): number => {
    const id = tokenizer.token_to_id(token);
    if (id === undefined)
      throw new FormatError(
        `${dir} is no CLIP tokenizer: its vocabulary lacks ${JSON.stringify(token.slice(0, 100))}.`,
      );
    return id;
  };
  const bosId = idOf(BOS);
  const eosId = idOf(EOS);
  const padId = idOf(contentOf(config.pad_token) ?? contentOf(specials.pad_token) ?? EOS);
  return {
    bosId,
    eosId,
    padId,
    vocabSize: tokenizer.get_vocab(true).size,
    encode(prompts, maxLength) {
      const ids = new Int32Array(prompts.length * maxLength).fill(padId); // [B, maxLength]
      prompts.forEach((prompt, row) => {
        const words = wordsOf(tokenizer, prompt, dir).slice(0, maxLength - 2);
        ids.set([bosId, ...words, eosId], row * maxLength);
      });
      return ids;
    },
  };
}

/** Ids of the tokens of a prompt, without BOS and EOS. */
function wordsOf(tokenizer: Tokenizer, prompt: string, dir: string): readonly number[] {
  let ids: readonly unknown[];
  try {
    ({ ids } = tokenizer.encode(prompt, { add_special_tokens: false }));
  } catch (cause) {
    throw new FormatError(`The tokenizer ${dir} fails on a prompt: ${(cause as Error).message.slice(0, 200)}.`, {
      cause,
    });
  }
  if (ids.every((id): id is number => typeof id === "number")) return ids;
  throw new FormatError(`The tokenizer ${dir} has no token for a part of a prompt, nor one for unknown parts.`);
}

function buildTokenizer(json: object, config: object, dir: string): Tokenizer {
  checkTokenizerJson(json, `The tokenizer.json of ${dir}`);
  try {
    return new Tokenizer(json, config);
  } catch (cause) {
    throw new FormatError(`The tokenizer.json of ${dir} cannot be read: ${(cause as Error).message.slice(0, 200)}.`, {
      cause,
    });
  }
}

async function fromVocabulary(dir: string): Promise<object> {
  const vocabulary = await readJson(join(dir, "vocab.json"));
  const merges = await readText(join(dir, "merges.txt"));
  if (vocabulary === undefined || merges === undefined) {
    throw new FormatError(
      `A tokenizer folder has tokenizer.json, or vocab.json and merges.txt, but ${dir} has neither.`,
    );
  }
  for (const [token, id] of Object.entries(vocabulary)) {
    if (!Number.isSafeInteger(id))
      throw new FormatError(`${dir}/vocab.json: the id of ${JSON.stringify(token.slice(0, 100))} is no whole number.`);
  }
  return clipTokenizerJson(vocabulary as Vocabulary, parseMerges(merges));
}

/** A special token is written as a string or as { content }. */
function contentOf(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  const json = parseJson(text, path);
  if (!isJsonObject(json)) throw new FormatError(`${path}: a JSON object is needed, but this is none.`);
  return json;
}

/** The text of a file, or undefined when there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readBoundedText(path, "a file of a tokenizer", MAX_TOKENIZER_BYTES);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
