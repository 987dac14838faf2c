import { copyFile, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import { loadTokenizer, promptWords, readPromptFile } from "../src/data/index.ts";

const FOLDER = "assets/models/animals-32/tokenizer";
const tokenizer = await loadTokenizer(FOLDER);
const { bosId, eosId } = tokenizer;
const golden: { maxLength: number; cases: { prompt: string; ids: number[] }[] } = JSON.parse(
  await readFile("tests/golden/tokenizer.json", "utf8"),
);

async function copyOfFolder(names: string[]): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "tokenizer-"));
  for (const name of names) await copyFile(join(FOLDER, name), join(dir, name));
  return dir;
}

test("every word of our prompts is one token, its own", async () => {
  const words = promptWords(await readPromptFile("assets/pictures/animals-32/animals.txt"));
  const ids = words.map((word) => {
    const [first, id, last] = tokenizer.encode([word], 3);
    expect([first, last]).toEqual([bosId, eosId]);
    expect([...tokenizer.encode([word], 4)]).toEqual([bosId, id, eosId, eosId]); // nothing was cut off
    return id;
  });
  expect(new Set(ids).size).toBe(words.length);
});

test("the vocabulary is CLIP's: bytes, bytes at word ends, merges, BOS, EOS", async () => {
  const vocabulary: Record<string, number> = JSON.parse(await readFile(join(FOLDER, "vocab.json"), "utf8"));
  const merges = (await readFile(join(FOLDER, "merges.txt"), "utf8")).trim().split("\n").slice(1);
  const tokens = Object.keys(vocabulary).sort((a, b) => vocabulary[a]! - vocabulary[b]!);
  expect(tokens.map((token) => vocabulary[token])).toEqual(tokens.map((_, id) => id));
  expect(tokens.slice(256, 512)).toEqual(tokens.slice(0, 256).map((token) => `${token}</w>`));
  expect(tokens.slice(512)).toEqual([
    ...merges.map((pair) => pair.replace(" ", "")),
    "<|startoftext|>",
    "<|endoftext|>",
  ]);
  expect([bosId, eosId, tokenizer.padId, tokenizer.vocabSize]).toEqual([
    tokens.length - 2,
    tokens.length - 1,
    eosId,
    tokens.length,
  ]);
});

describe("encode", () => {
  test("agrees with transformers' CLIPTokenizer", () => {
    const prompts = golden.cases.map(({ prompt }) => prompt);
    const ids = tokenizer.encode(prompts, golden.maxLength);
    golden.cases.forEach(({ prompt, ids: expected }, row) => {
      const ours = [...ids.subarray(row * golden.maxLength, (row + 1) * golden.maxLength)];
      expect({ prompt, ids: ours }).toEqual({ prompt, ids: expected });
    });
  });

  test("does not see case or runs of spaces", () => {
    expect(tokenizer.encode(["  A  Soft\tCAT "], 8)).toEqual(tokenizer.encode(["a soft cat"], 8));
  });

  test("cuts the end of a long prompt but keeps EOS", () => {
    const long = tokenizer.encode(["a cat on white on white"], 5);
    expect(long).toEqual(Int32Array.of(...tokenizer.encode(["a cat on"], 5)));
    expect(long[4]).toBe(eosId);
  });
});

describe("folders", () => {
  test("without tokenizer.json, as Stable Diffusion's, give the same ids", async () => {
    const bare = await loadTokenizer(await copyOfFolder(["vocab.json", "merges.txt"]));
    const prompts = golden.cases.map(({ prompt }) => prompt);
    expect(bare.encode(prompts, 16)).toEqual(tokenizer.encode(prompts, 16));
  });

  test("name their pad token", async () => {
    const dir = await copyOfFolder(["vocab.json", "merges.txt"]);
    await writeFile(join(dir, "special_tokens_map.json"), '{ "pad_token": { "content": "!" } }');
    expect([...(await loadTokenizer(dir)).encode([""], 4)]).toEqual([bosId, eosId, 0, 0]);
  });

  test("that hold no CLIP tokenizer are refused", async () => {
    await expect(loadTokenizer(await copyOfFolder([]))).rejects.toThrow(FormatError);
    const dir = await copyOfFolder(["merges.txt"]);
    await writeFile(join(dir, "vocab.json"), '{ "a": 0 }');
    await expect(loadTokenizer(dir)).rejects.toThrow(FormatError);
    await writeFile(join(dir, "vocab.json"), "{");
    await expect(loadTokenizer(dir)).rejects.toThrow(FormatError);
    await writeFile(join(dir, "tokenizer.json"), '{ "model": { "type": "none" } }');
    await expect(loadTokenizer(dir)).rejects.toThrow(FormatError);
  });
});
