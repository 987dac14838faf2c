import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { parsePrompts } from "../src/data/prompt-file.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever stands in a prompt file, the end is prompts of Unicode text or an error that names the file. See fuzz.ts.

const short = 4000;
const timeout = fuzzTimeout(short);
const bytesOf = (text: string) => new TextEncoder().encode(text);

async function survives(bytes: Uint8Array, name: string, column: string | undefined): Promise<boolean> {
  return reads(
    () => {
      const prompts = parsePrompts(bytes, { name, column });
      expect(prompts.length).toBeLessThanOrEqual(bytes.length);
      for (const prompt of prompts)
        expect(prompt.trim() === prompt && prompt !== "" && !prompt.includes("\0")).toBe(true);
    },
    { naming: name, errors: [FormatError, ConfigError] },
  );
}

const seeds: Readonly<Record<string, readonly string[]>> = {
  "a.txt": ["a cat\n\n a fox é\r\nzwei Füchse"],
  "a.csv": [
    'prompt,n\n"a ""red"" cat, wet",1\r\na fox,2\r"two\nlines",3\n\n',
    'id,Prompts,category\n1,"a, b",x\n2,c,y',
    "\ufefftext\na\n",
  ],
  "a.json": [
    '["a cat", "a \\ud83e\\udd8a"]',
    '[{"prompt": "a", "seed": 1, "tags": ["x", {"y": null}]}, {"prompt": "b"}]',
  ],
  "a.jsonl": ['{"prompt": "a", "n": 1}\n\n{"prompt": "b", "n": [2]}\n', '"a"\n"b"\n'],
};
const corpus = Object.entries(seeds).flatMap(([name, texts]) => texts.map((text) => ({ name, text })));
const column = fc.constantFrom(undefined, undefined, "prompt", "n", "Prompts");

describe("prompt files", () => {
  test(
    "with changed bytes",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...corpus), column, mutations),
        ([{ name, text }, column, changes]) => survives(changes.reduce(mutated, bytesOf(text)), name, column),
        { short, least: 0.03 },
      ),
    timeout,
  );

  const json = corpus.filter(({ text }) => /^[[{]/.test(text) && !text.includes("\n"));
  test(
    "JSON and JSON Lines of changed structure",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...json), fc.constantFrom("a.json", "a.jsonl"), column, jsonMutations),
        ([{ text }, name, column, changes]) => survives(bytesOf(mutatedJson(text, changes)), name, column),
        { short, least: 0.05 },
      ),
    timeout,
  );

  const piece = fc.constantFrom(
    ...[
      "prompt",
      "text",
      ",",
      '"',
      '""',
      "\r",
      "\n",
      "[",
      "]",
      "{",
      "}",
      ":",
      "\\",
      "\\ud800",
      "a",
      " ",
      "\0",
      "\ufeff",
    ],
  );
  test(
    "of any pieces",
    () =>
      fuzz(
        fc.tuple(
          fc.constantFrom(...Object.keys(seeds)),
          fc.constantFrom("", "prompt\n", "prompt,n\n"),
          fc.array(piece, { maxLength: 40 }),
          column,
        ),
        ([name, begin, pieces, column]) => survives(bytesOf(begin + pieces.join("")), name, column),
        { short, least: 0.05 },
      ),
    timeout,
  );
});
