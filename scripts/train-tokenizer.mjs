// Learns the byte-pair vocabulary of the bundled model and writes its tokenizer folder in CLIP's form.
//
//   npm run build && node scripts/train-tokenizer.mjs [--out assets/models/animals-32/tokenizer]
//
// The corpus is every word that our prompts can contain, once each; merging goes on until each word is one token.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BOS, byteCharacters, clipTokenizerJson, EOS } from "../dist/data/clip-tokenizer.js";
import { promptWords, readPromptFile } from "../dist/data/prompts.js";

const { values: options } = parseArgs({
  options: { out: { type: "string", default: "assets/models/animals-32/tokenizer" } },
});
const MAX_LENGTH = 16; // tokens of a prompt with BOS and EOS

const animals = await readPromptFile("assets/pictures/animals-32/animals.txt");
const merges = learnMerges(promptWords(animals));
const characters = byteCharacters();
const tokens = [...characters, ...characters.map((c) => `${c}</w>`), ...merges.map((pair) => pair.join("")), BOS, EOS];
const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
if (Object.keys(vocabulary).length !== tokens.length) throw new Error("Two merges make the same token.");

/** Merges the most frequent neighbours (of equals, the first in code-unit order) until each word is one token. */
function learnMerges(words) {
  const spelled = words.map((word) => [...word.slice(0, -1), `${word.at(-1)}</w>`]);
  const learnt = [];
  for (;;) {
    const counts = new Map();
    for (const word of spelled) {
      for (let at = 0; at + 1 < word.length; at++) {
        const pair = `${word[at]} ${word[at + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    if (counts.size === 0) return learnt;
    const [[best]] = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    const [left, right] = best.split(" ");
    learnt.push([left, right]);
    for (const word of spelled) {
      for (let at = 0; at + 1 < word.length; at++) {
        if (word[at] === left && word[at + 1] === right) word.splice(at, 2, left + right);
      }
    }
  }
}

const write = (name, text) => writeFileSync(join(options.out, name), text);
const writeJson = (name, value) => write(name, `${JSON.stringify(value, null, 2)}\n`);
const special = (content) => ({ content, lstrip: false, normalized: false, rstrip: false, single_word: false });
mkdirSync(options.out, { recursive: true });
// line by line: JSON.stringify would put the tokens "0" … "9" before all others
write("vocab.json", `{\n${tokens.map((token, id) => `  ${JSON.stringify(token)}: ${id}`).join(",\n")}\n}\n`);
write("merges.txt", `#version: 0.2\n${merges.map((pair) => pair.join(" ")).join("\n")}\n`);
writeJson("tokenizer.json", clipTokenizerJson(vocabulary, merges));
writeJson("special_tokens_map.json", {
  bos_token: special(BOS),
  eos_token: special(EOS),
  pad_token: EOS,
  unk_token: special(EOS),
});
writeJson("tokenizer_config.json", {
  tokenizer_class: "CLIPTokenizer",
  add_prefix_space: false,
  bos_token: BOS,
  do_lower_case: true,
  eos_token: EOS,
  errors: "replace",
  model_max_length: MAX_LENGTH,
  pad_token: EOS,
  unk_token: EOS,
});
console.log(`${tokens.length} tokens, ${merges.length} merges`);
