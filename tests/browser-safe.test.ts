import { readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const src = join(dirname(fileURLToPath(import.meta.url)), "../src");

/** Entries of package.json that a browser can load, by their source. */
const entries = [
  ...["web.ts", "runtime/web.ts", "runtime/index.ts", "core/index.ts", "tensor/index.ts", "onnx/index.ts"],
  ...["nn/index.ts", "optim/index.ts", "diffusion/index.ts", "objectives/index.ts", "metrics/index.ts"],
];
/** Packages that run in a browser. */
const allowed = ["zod", "@bufbuild/protobuf", "@bufbuild/protobuf/wire", "onnx-buf"];
const onDemand = ["onnxruntime-web/webgpu", "onnxruntime-web/wasm"];

/** What a source imports when it runs: types are gone by then. */
function importsOf(file: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword) {
      found.push((node.moduleSpecifier as ts.StringLiteral).text);
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && !node.isTypeOnly) {
      found.push((node.moduleSpecifier as ts.StringLiteral).text);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      found.push((node.arguments[0] as ts.StringLiteral).text);
    }
    node.forEachChild(visit);
  };
  visit(ts.createSourceFile(file, readFileSync(join(src, file), "utf8"), ts.ScriptTarget.ES2022));
  return found;
}

/** Imports of other packages, and of Node, that an entry leads to, each with the way there. */
function packagesOf(entry: string): { name: string; way: string }[] {
  const from = new Map<string, string | undefined>([[entry, undefined]]);
  const found: { name: string; way: string }[] = [];
  for (const file of from.keys()) {
    for (const name of importsOf(file)) {
      const next = posix.join(posix.dirname(file), name);
      if (name.startsWith(".")) from.set(next, from.has(next) ? from.get(next) : file);
      else {
        const way = [file];
        for (let at = from.get(file); at; at = from.get(at)) way.unshift(at);
        found.push({ name, way: way.join(" → ") });
      }
    }
  }
  return found;
}

describe("entries for a browser import nothing of Node, directly or through others", () => {
  test.each(entries)("src/%s", (entry) => {
    const known = [...allowed, ...onDemand];
    expect(packagesOf(entry).filter(({ name }) => !known.includes(name))).toEqual([]);
  });

  test("an import of Node behind several files is found, with the way there", () => {
    expect(packagesOf("train/train.ts")).toContainEqual({
      name: "node:path",
      way: "train/train.ts → train/finetune.ts → train/directory-record.ts",
    });
  });

  test("onnxruntime-web is loaded by webRuntime alone, when it is called", () => {
    const leading = entries.filter((entry) => packagesOf(entry).some(({ name }) => onDemand.includes(name)));
    expect(leading).toEqual(["web.ts", "runtime/web.ts"]);
  });
});
