import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Folder of src → folders it may import, in the order of building up: a folder sees only what stands above it. Where this
 * differs from a plain reading of the layout, docs/decisions/ says why.
 */
const parts: Record<string, readonly string[]> = {
  core: [],
  tensor: ["core"],
  onnx: ["core", "tensor"],
  runtime: ["core", "tensor", "onnx"],
  weights: ["core"],
  hub: ["core", "weights"], // models and rewards see local paths only
  images: ["core"],
  data: ["core", "images"],
  nn: ["core", "tensor"],
  optim: ["core"],
  diffusion: ["core", "tensor"],
  models: ["core", "tensor", "nn", "weights", "onnx", "data"], // data: decision 013
  rewards: ["core", "tensor", "nn", "models", "weights", "onnx"],
  objectives: ["core", "tensor", "diffusion"],
  metrics: ["core"],
  run: ["core", "weights", "images"],
  sample: ["core", "tensor", "nn", "runtime", "models", "diffusion", "rewards", "images"], // nn: decision 012
};
const withTrain = { ...parts, train: Object.keys(parts) };
const withEvaluate = { ...withTrain, evaluate: Object.keys(withTrain) };
const library = { ...withEvaluate, report: ["core", "run", "images", "metrics"] };
const mayImport: Record<string, readonly string[]> = {
  ...library,
  "index.ts": Object.keys(library),
  "web.ts": Object.keys(withEvaluate),
  cli: [...Object.keys(library), "index.ts"],
};

/** The only folders that may ask for the time of day or for unseeded randomness. */
const mayAskTheWorld = ["cli", "run"];
const asksTheWorld = /\b(Math\.random|Date\.now|new Date)\b/;

const maxLines = 400;

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"))
  .map((file) => ({ file, text: readFileSync(join(root, "src", file), "utf8") }));

const partOf = (file: string) => file.split("/")[0]!;

/** Imports of a source file, given by its path under src, that its folder may not make. */
function forbiddenImports(file: string, text: string): string[] {
  const from = partOf(file);
  const allowed = mayImport[from] ?? [];
  const shown = (part: string) => (part.endsWith(".ts") ? part : `${part}/`);
  return ts
    .preProcessFile(text)
    .importedFiles.filter(({ fileName }) => fileName.startsWith("."))
    .map(({ fileName }) => partOf(posix.join(posix.dirname(file), fileName)))
    .filter((to) => to !== from && !allowed.includes(to))
    .map((to) => `src/${file} imports ${shown(to)}: ${shown(from)} may import ${allowed.join(", ") || "nothing"}`);
}

describe("imports", () => {
  test("every part of src stands in the table", () => {
    expect([...new Set(sources.map(({ file }) => partOf(file)))].filter((part) => !mayImport[part])).toEqual([]);
  });

  test("the table has no circle: a part may import only parts that stand above it", () => {
    const order = Object.keys(mayImport);
    for (const [k, part] of order.entries()) {
      expect(
        mayImport[part]!.filter((to) => !order.slice(0, k).includes(to)),
        part,
      ).toEqual([]);
    }
  });

  test("no file imports what its folder may not", () => {
    expect(sources.flatMap(({ file, text }) => forbiddenImports(file, text))).toEqual([]);
  });

  test("a forbidden import of any form is named with what is allowed", () => {
    const rule = "objectives/ may import core, tensor, diffusion";
    const bad = "objectives/samplers/bad.ts";
    for (const text of [
      'import { finetune } from "../../train/finetune.ts";',
      'import type { RunConfig } from "../../train/config.ts";',
      'export * from "../../train/index.ts";',
      'const train = await import("../../train/index.ts");',
    ]) {
      expect(forbiddenImports(bad, text)).toEqual([`src/${bad} imports train/: ${rule}`]);
    }
    expect(forbiddenImports(bad, 'import { input } from "../../tensor/index.ts";\nimport { z } from "zod";')).toEqual(
      [],
    );
    expect(forbiddenImports("core/a.ts", 'import "../../scripts/gen.mjs";')).toEqual([
      "src/core/a.ts imports ../: core/ may import nothing",
    ]);
  });
});

test(`time and unseeded randomness come in as arguments outside ${mayAskTheWorld.join(" and ")}`, () => {
  const asking = sources.filter(({ file, text }) => !mayAskTheWorld.includes(partOf(file)) && asksTheWorld.test(text));
  expect(asking.map(({ file, text }) => `src/${file}: ${asksTheWorld.exec(text)![0]}`)).toEqual([]);
});

test("every cited key stands in docs/papers.md, once", () => {
  const table = readFileSync(join(root, "docs/papers.md"), "utf8");
  const known = [...table.matchAll(/^\| `([a-z0-9]+)` \|/gm)].map(([, key]) => key!);
  expect(known.filter((key, k) => known.indexOf(key) !== k)).toEqual([]);
  const cited = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/\[([a-z]+\d{4}[a-z0-9]*)\]|\bpaper: "([^"]*)"/g)].map((match) => ({
      file,
      key: match[1] ?? match[2]!,
    })),
  );
  expect(cited.length).toBeGreaterThan(0);
  expect(
    cited
      .filter(({ key }) => !known.includes(key))
      .map(({ file, key }) => `src/${file} cites [${key}]: not in docs/papers.md`),
  ).toEqual([]);
});

test("the registries list the files of their folders", () => {
  execFileSync(process.execPath, [join(root, "scripts/gen.mjs"), "--check"], { stdio: "pipe" });
});

test(`no source file is longer than ${maxLines} lines`, () => {
  const long = sources.map(({ file, text }) => ({ file, lines: text.split("\n").length - 1 }));
  expect(long.filter(({ lines }) => lines > maxLines)).toEqual([]);
});
