import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { FormatError } from "../src/core/errors.ts";
import { BOS, clipTokenizerJson, EOS } from "../src/data/clip-tokenizer.ts";
import { loadTokenizer } from "../src/data/tokenizer.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever stands in a tokenizer's folder, prompts become ids below its size, or FormatError names the folder. See fuzz.ts.

const short = 500;
const timeout = fuzzTimeout(short);
const folder = mkdtempSync(join(tmpdir(), "nablaflow-tokenizer-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tokens = [..."acfotx", ..."acfotx".split("").map((letter) => `${letter}</w>`), "ca", "cat</w>", "fo", BOS, EOS];
const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
const merges = [
  ["c", "a"],
  ["ca", "t</w>"],
  ["f", "o"],
] as const;
const files = {
  "vocab.json": JSON.stringify(vocabulary),
  "merges.txt": `#version: 0.2\n${merges.map((pair) => pair.join(" ")).join("\n")}\n`,
  "tokenizer.json": JSON.stringify(clipTokenizerJson(vocabulary, merges)),
  "tokenizer_config.json": '{"pad_token": "a", "model_max_length": 77, "added_tokens_decoder": {}}',
  "special_tokens_map.json": `{"pad_token": {"content": "${EOS}"}, "unk_token": "${EOS}"}`,
};
type Name = keyof typeof files;

/** Stable Diffusion's kind of folder, and the newer one. */
const folders = {
  bare: ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"],
  whole: ["tokenizer.json", "tokenizer_config.json"],
} as const satisfies Record<string, readonly Name[]>;
for (const [kind, names] of Object.entries(folders)) {
  mkdirSync(join(folder, kind));
  for (const name of names) writeFileSync(join(folder, kind, name), files[name]);
}
const place = fc.constantFrom(
  ...folders.bare.map((name) => ({ kind: "bare", name })),
  ...[...folders.whole, "tokenizer.json" as const].map((name) => ({ kind: "whole", name })),
);

/** Reads a folder with one changed file. */
async function survives({ kind, name }: { kind: string; name: Name }, content: string | Uint8Array): Promise<boolean> {
  const dir = join(folder, kind);
  writeFileSync(join(dir, name), content);
  try {
    return await readsFolder(dir);
  } finally {
    writeFileSync(join(dir, name), files[name]);
  }
}

const readsFolder = (dir: string) =>
  reads(
    async () => {
      const tokenizer = await loadTokenizer(dir);
      const ids = tokenizer.encode(["a cat", "fox fox fox fox fox", "", "Ünïcode 🦊 <|endoftext|> a"], 8);
      expect(ids.length).toBe(4 * 8);
      expect(ids.every((id) => id >= 0 && id < tokenizer.vocabSize)).toBe(true);
      expect([ids[0], ids.indexOf(tokenizer.eosId) > 0]).toEqual([tokenizer.bosId, true]);
    },
    { naming: dir },
  );

describe("tokenizer folders", () => {
  test(
    "with changed bytes in a file",
    () =>
      fuzz(
        fc.tuple(place, mutations),
        ([at, changes]) => survives(at, changes.reduce(mutated, new TextEncoder().encode(files[at.name]))),
        { short, least: 0.05 },
      ),
    timeout,
  );

  test(
    "with a file of changed structure",
    () =>
      fuzz(
        fc.tuple(
          place.filter(({ name }) => name.endsWith(".json")),
          jsonMutations,
        ),
        ([at, changes]) => survives(at, mutatedJson(files[at.name], changes)),
        { short, least: 0.1 },
      ),
    timeout,
  );

  test("a regular expression that takes forever is refused", async () => {
    for (const regex of ["(a+)+$", "a*a*a*b", "(?:a|a)*b", "a+|(x)\\1"]) {
      const json = JSON.parse(files["tokenizer.json"]);
      json.pre_tokenizer.pretokenizers[0].pattern.Regex = regex;
      const dir = join(folder, "whole");
      writeFileSync(join(dir, "tokenizer.json"), JSON.stringify(json));
      await expect(loadTokenizer(dir)).rejects.toThrow(FormatError);
      await expect(loadTokenizer(dir)).rejects.toThrow(/no groups and repeats one part/);
    }
  });
});
