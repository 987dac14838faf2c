import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { readPromptFile } from "../src/data/index.ts";
import { MAX_PROMPT_FILE_BYTES, parsePrompts } from "../src/data/prompt-file.ts";
import { resolveConfig } from "../src/train/config.ts";
import { prepareSampling, promptFile } from "../src/train/prepare.ts";

const folder = mkdtempSync(join(tmpdir(), "prompts-"));
afterAll(() => rmSync(folder, { recursive: true }));

const parse = (name: string, text: string, column?: string) => parsePrompts(Buffer.from(text), { name, column });

function refusal(name: string, text: string | Uint8Array, column?: string): Error {
  try {
    parsePrompts(Buffer.from(text as string), { name, column });
  } catch (error) {
    return error as Error;
  }
  throw new Error(`${name} was read`);
}

function written(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Well-formed prompts as readers return them: no spaces around, not empty, no NUL. */
const prompt = fc
  .string({ unit: "grapheme" })
  .map((text) => text.replaceAll("\0", "").trim())
  .filter((text) => text !== "");
/** Prompts in which everything that CSV gives a meaning is frequent. */
const awkward = fc
  .array(fc.oneof(prompt, fc.constantFrom(",", '"', '""', "\r\n", "\n", "\r", " ")), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.join("").trim())
  .filter((text) => text !== "");

describe("each format gives its prompts in order, repeated ones too", () => {
  const prompts = ["a cat", "a dog, wet", "a cat"];
  test.each([
    ["a.txt", "a cat\n\n  a dog, wet \na cat"],
    ["no-extension", "a cat\na dog, wet\na cat\n"],
    ["a.prompts", "a cat\na dog, wet\na cat\n"],
    ["a.csv", 'Prompts,Category\na cat,x\n"a dog, wet",y\n\na cat,z'],
    ["a.CSV", 'id,text\n1,a cat\n2,"a dog, wet"\n3,a cat\n'],
    ["a.json", JSON.stringify(prompts)],
    ["a.json", JSON.stringify(prompts.map((text) => ({ id: 1, prompt: text })))],
    ["a.jsonl", prompts.map((text) => JSON.stringify({ prompt: text, metadata: { n: 1 } })).join("\n")],
    ["a.jsonl", '{"text": "a cat"}\n\n"a dog, wet"\n{"prompt": "a cat", "text": "not this"}\n'],
  ])("%s", (name, text) => {
    expect(parse(name, text)).toEqual(prompts);
    expect(parse(name, `\uFEFF${text}`)).toEqual(prompts);
    expect(parse(name, text.replaceAll("\n", "\r\n"))).toEqual(prompts);
  });

  test("a column that is named is read, whatever it is called", () => {
    expect(parse("a.csv", "prompt,caption\nno,yes\n", "caption")).toEqual(["yes"]);
    expect(parse("a.json", '[{"prompt": "no", "caption": "yes"}]', "caption")).toEqual(["yes"]);
    expect(parse("a.jsonl", '{"prompt": "no", "__proto__": "yes"}', "__proto__")).toEqual(["yes"]);
  });
});

describe("what was written comes back", () => {
  test("CSV: fields in quotes where needed or wanted, any line break, the prompt in any column", () => {
    const cell = fc.record({ text: awkward, quoted: fc.boolean() });
    const write = ({ text, quoted }: { text: string; quoted: boolean }) =>
      quoted || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const file = fc.record({
      rows: fc.array(fc.tuple(cell, cell)),
      first: fc.boolean(),
      lineBreak: fc.constantFrom("\n", "\r\n", "\r"),
      ends: fc.boolean(),
      mark: fc.constantFrom("", "\uFEFF"),
    });
    fc.assert(
      fc.property(file, ({ rows, first, lineBreak, ends, mark }) => {
        const header = first ? "prompt,other" : "other,prompt";
        const lines = [header, ...rows.map((row) => row.map(write).join(","))];
        const text = mark + lines.join(lineBreak) + (ends ? lineBreak : "");
        expect(parse("a.csv", text)).toEqual(rows.map(([a, b]) => (first ? a : b).text));
      }),
      { numRuns: 500 },
    );
  });

  test("JSON, JSON Lines and text", () => {
    fc.assert(
      fc.property(fc.array(awkward), (prompts) => {
        expect(parse("a.json", JSON.stringify(prompts, null, 1))).toEqual(prompts);
        expect(parse("a.jsonl", prompts.map((text) => `${JSON.stringify({ text })}\n`).join(""))).toEqual(prompts);
        const oneLine = prompts.filter((text) => !text.includes("\n"));
        expect(parse("a.txt", oneLine.join("\n"))).toEqual(oneLine);
      }),
    );
  });
});

describe("a file that breaks a rule is refused with file, place and rule", () => {
  test.each([
    ["a.csv", 'prompt\n"two\nlines"\nsay "hi"', /a\.csv: line 4: .*contains a quote.*say \\"/],
    ["a.csv", 'prompt\n"a" cat', /line 2: .*contains a quote/],
    ["a.csv", 'prompt,n\na,1\n"a cat,2\n', /line 3: .*never closed/],
    ["a.csv", "prompt,n\r\na cat, wet,1", /line 2 has 3 fields, but the header has 2/],
    ["a.csv", "prompt,n\na,1\n ,2", /line 3: a prompt has at least one character/],
    ["a.json", "[", /a\.json is not valid JSON/],
    ["a.json", '{"prompt": "a"}', /is a list, but an object came/],
    ["a.json", '["a", 3]', /record 2: a record is a text or an object, but a number came/],
    ["a.json", '["a", ""]', /record 2: .*empty/],
    ["a.json", '[{"prompt": ["a"]}]', /record 1: a prompt is a text, but a list came/],
    ["a.json", '["\\ud800"]', /half of a surrogate pair/],
    ["a.json", '["\\u0000a"]', /NUL/],
    ["a.jsonl", '{"prompt": "a"}\n\n{"prompt": }', /line 3 is not valid JSON/],
    ["a.jsonl", "null", /line 1: .*but null came/],
    ["a.txt", Uint8Array.of(97, 10, 0xc3, 0xa9, 10, 0xe9, 10), /a\.txt: .*UTF-8, but line 3 is not/],
  ])("%s %j", (name, text, message) => {
    const error = refusal(name, text);
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(message);
  });

  test.each([
    ["a.csv", "id;Caption\n1;a", undefined, /line 1: .*prompt, prompts or text.*"id;Caption"/],
    ["a.csv", "prompt,Prompt\na,b", undefined, /several: "prompt", "Prompt"/],
    ["a.csv", "prompt,n\na,1", "promt", /prompts\.column is "promt", but there is "prompt", "n"/],
    ["a.jsonl", '{"prompt": "a"}\n{"caption": "b"}', undefined, /line 2: .*"caption"/],
    ["a.json", '["a"]', "prompt", /record 1 is a text without keys/],
    ["a.txt", "a", "prompt", /a text file has no columns/],
  ])("the column: %s %j %s", (name, text, column, message) => {
    const error = refusal(name, text, column);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(message);
  });

  test("millions of open brackets", () => {
    expect(refusal("a.json", "[".repeat(2 ** 22)).message).toMatch(/at most 64 levels/);
    expect(parse("a.json", JSON.stringify(['[[{"'.repeat(100)]))).toEqual(['[[{"'.repeat(100)]);
  });
});

describe("files", () => {
  test("over the bound are refused by their size; a device without one after the bound", async () => {
    const path = written("large.txt", "a");
    truncateSync(path, 100 * MAX_PROMPT_FILE_BYTES); // sparse
    await expect(readPromptFile(path)).rejects.toThrow(`at most ${MAX_PROMPT_FILE_BYTES} bytes`);
    if (existsSync("/dev/zero")) {
      await expect(readPromptFile("/dev/zero")).rejects.toThrow(`at most ${MAX_PROMPT_FILE_BYTES} bytes`);
    }
  });

  test("at the bound are read", async () => {
    const path = written("full.txt", Buffer.alloc(MAX_PROMPT_FILE_BYTES, "a cat on orange\n"));
    expect(await readPromptFile(path)).toHaveLength(MAX_PROMPT_FILE_BYTES / 16);
  });

  test("that are missing, folders or without a prompt are errors of the configuration", async () => {
    const message = async (path: string) => {
      const error = await promptFile(path).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ConfigError);
      return (error as Error).message;
    };
    expect(await message(join(folder, "none.txt"))).toMatch(/cannot be read \(ENOENT\)/);
    expect(await message(folder)).toMatch(/cannot be read \(EISDIR\)/);
    for (const [name, text] of [
      ["e.txt", "\n \n"],
      ["e.csv", "prompt\n"],
      ["e.csv", ""],
      ["e.json", "[]"],
      ["e.jsonl", ""],
    ])
      expect(await message(written(name!, text!))).toMatch(/holds no prompt/);
  });

  test("of a configuration are read, with the column that it names", async () => {
    const file = written("names.csv", 'caption,prompt\n"",a cat\n');
    const config = (prompts: object) =>
      resolveConfig({
        file: {
          model: { kind: "diffusers", path: "assets/models/animals-32" },
          sampler: { kind: "ddim", steps: 2 },
          objective: { kind: "ddpo" },
          train: { updates: 1, accumulate: 1 },
          prompts,
        },
        source: "test",
        needsReward: false,
      });
    expect((await prepareSampling(config({ file, column: "prompt" }))).prompts).toEqual(["a cat"]);
    await expect(prepareSampling(config({ file, column: "caption" }))).rejects.toThrow(/line 2: .*empty/);
    expect(() => config({ file, colunm: "prompt" })).toThrow(ConfigError);
  });
});

/** Public prompt sets, where the checkout has them beside it. */
const sets = new URL("../../shared/data/prompts/", import.meta.url).pathname;
describe.runIf(existsSync(sets))("public sets", () => {
  test("DrawBench has 200 prompts in 11 categories", async () => {
    const path = join(sets, "drawbench.csv");
    const prompts = await readPromptFile(path);
    expect(prompts).toHaveLength(200);
    expect(prompts[0]).toBe("A red colored car.");
    expect(new Set(await readPromptFile(path, { column: "Category" })).size).toBe(11);
  });

  test.each(["anime", "concept-art", "paintings", "photo"])("HPDv2 %s has 800 prompts", async (style) => {
    const path = join(sets, `hpdv2_${style}.json`);
    const expected: string[] = JSON.parse(readFileSync(path, "utf8"));
    expect(expected).toHaveLength(800);
    expect(await readPromptFile(path)).toEqual(expected.map((text) => text.trim()));
  });
});
