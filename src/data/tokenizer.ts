import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { FormatError } from "../core/errors.ts";
import { BOS, clipTokenizerJson, EOS, parseMerges, type Vocabulary } from "./clip-tokenizer.ts";

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
    if (id === undefined) throw new FormatError(`${dir} is no CLIP tokenizer: its vocabulary lacks "${token}".`);
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
        const words = tokenizer.encode(prompt, { add_special_tokens: false }).ids.slice(0, maxLength - 2);
        ids.set([bosId, ...words, eosId], row * maxLength);
      });
      return ids;
    },
  };
}

function buildTokenizer(json: object, config: object, dir: string): Tokenizer {
  try {
    return new Tokenizer(json, config);
  } catch (cause) {
    throw new FormatError(`The tokenizer.json of ${dir} cannot be read: ${(cause as Error).message}.`, { cause });
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
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${path} is not JSON: ${(cause as Error).message}.`, { cause });
  }
}

/** The text of a file, or undefined when there is no such file. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
