import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../src/train/index.ts";
import { buildCommand, hookTimeout, root, runNabla, runNode } from "./built-command.ts";

// What README.md and docs/guide show is run: every command in an otherwise empty folder of its document, in order, so that one can
// use what another wrote, and the documents side by side; every block of code is type-checked; every configuration key exists.

const set = (...settings: string[]) => settings.flatMap((setting) => ["--set", setting]);
/** A run of seconds, also for scripts/check-package.mjs; the trailing grid starts at noise however few the steps are. */
const short: string[] = JSON.parse(readFileSync(join(root, "tests/short-run.json"), "utf8"));

/** What a command is given besides, so that it takes seconds; later flags win. The first entry that fits counts. */
const shortened: [start: string, flags: readonly string[]][] = [
  ["nabla train configs/worlds/", set(...short)],
  ["nabla train configs/quickstart.yaml", set(...short, "prompts=[a cat]")],
  ["nabla quickstart", set(...short, "prompts=[a cat]")],
  ["nabla pretrain", set("train.updates=1", "train.batch=2", "unet.block_out_channels=[16,16,16]")],
  ["nabla validate configs/worlds/", ["--updates", "1", "--seeds", "0"]],
  ["nabla evaluate", ["--images-per-prompt", "2", "--prompts", "one-prompt.txt"]],
];

/** What the documents leave open. Every document has a folder of its own. */
const placeholders: [RegExp, string][] = [
  [/\b(DIR|RUN)\d\b/g, "$1"],
  [/\bCOMMAND\b/g, "train"],
  [/=(\w+)(\|\w+)+/g, "=$1"],
];

const notRun: Record<string, string> = {
  "npm ci": ".ci/run begins with it",
  "npm test": "runs this test",
  "npm run gen": "rewrites sources; .ci/run checks that it would change nothing",
};

const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts as Record<string, string>;
const documents = ["README.md", ...readdirSync(join(root, "docs/guide")).map((file) => `docs/guide/${file}`)].map(
  (file) => ({ file, text: readFileSync(join(root, file), "utf8") }),
);

/** Commands in the order in which they stand: lines of sh blocks and code in prose, `npx` and comments left out. */
function commandsOf(text: string): string[] {
  const found = text.matchAll(/^```sh\n(.*?)^```$|`((?:npx |nabla |node |npm )[^`]+)`/gms);
  return [...found]
    .flatMap(([, block, span]) => block?.replaceAll("\\\n", " ").split("\n") ?? [span!.replaceAll("\n", " ")])
    .flatMap((line) => line.replace(/(^|\s)#.*/, "").split("&&"))
    .map((command) => command.trim().replace(/^npx /, ""))
    .filter((command) => command !== "")
    .map((command) => placeholders.reduce((text, [pattern, value]) => text.replace(pattern, value), command));
}

/** Words as a POSIX shell splits them; only quotes are known. */
const wordsOf = (command: string): string[] =>
  [...command.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replace(/["']/g, ""));

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "nablaflow-guide-"));
  await buildCommand();
}, hookTimeout);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const documented = documents
  .map(({ file, text }) => ({ file, commands: commandsOf(text).filter((command) => !(command in notRun)) }))
  .filter(({ commands }) => commands.length > 0);

describe.concurrent.each(documented)("$file", ({ file, commands }) => {
  const cwd = () => join(folder, file.replaceAll("/", "-"));
  beforeAll(() => {
    mkdirSync(cwd());
    writeFileSync(join(cwd(), "one-prompt.txt"), "a cat\n");
  });

  const run = async (command: string) => {
    const [program, ...args] = wordsOf(command.replace(/^npm run (\S+)/, (_, name) => scriptOf(name)));
    if (program !== "nabla" && program !== "node") throw new Error("Say in notRun why this command is not run.");
    const { code, stderr } =
      program === "nabla"
        ? await runNabla([...args, ...flagsFor(args)], { cwd: cwd() })
        : await runNode([join(root, args[0]!), ...args.slice(1)], { cwd: cwd() });
    expect(code, stderr).toBe(0);
  };
  test.sequential.for(commands)("%s", { timeout: hookTimeout }, run);
});

test("README.md and the guide show commands", () => {
  expect(documented.map(({ file }) => file)).toEqual(
    expect.arrayContaining(["README.md", "docs/guide/own-pictures.md"]),
  );
});

/** A script of package.json, in which the built command stands for nabla. */
function scriptOf(name: string): string {
  const script = scripts[name];
  if (script === undefined) throw new Error(`package.json has no script "${name}".`);
  return script.replace(/^node dist\/cli\/main\.js/, "nabla");
}

function flagsFor(args: readonly string[]): readonly string[] {
  const command = ["nabla", ...args].join(" ");
  const fitting = shortened.find(([start]) => command.startsWith(start));
  return args.includes("--help") || !fitting ? [] : fitting[1];
}

/** Code in the prose of all documents. */
const spans = documents.flatMap(({ text }) =>
  [...text.replace(/^```.*?^```$/gms, "").matchAll(/`([^`]+)`/g)].map(([, span]) => span!.replaceAll("\n", " ")),
);
const sections = "model|reward|objective|sampler|finetune|train|evaluate";

describe("configuration keys in the prose", () => {
  const settings = spans.flatMap((span) => {
    const given = /^--set (\S+=\S+)$/.exec(span) ?? new RegExp(`^((?:${sections})\\.\\S+: \\S+)$`).exec(span);
    const option = /^[a-z]\w*: [\w-]+$/i.test(span) ? [`objective.${span}`] : [];
    return given ? [given[1]!] : option;
  });
  test.for([...new Set(settings)])("%s is taken", async (setting) => {
    await readConfig("configs/worlds/ring8.yaml", { set: [setting.replace(": ", "=")] });
  });

  const keys = spans.filter((span) => new RegExp(`^(${sections})(\\.\\w+)+$`).test(span));
  test.for([...new Set(keys)])("%s is a key", async (key) => {
    const config = await readConfig("configs/quickstart.yaml");
    const value = key.split(".").reduce<unknown>((level, name) => (level as Record<string, unknown>)?.[name], config);
    expect(value).toBeDefined();
  });
});

describe("code", () => {
  const architecture = { file: "docs/architecture.md", text: readFileSync(join(root, "docs/architecture.md"), "utf8") };
  const blocks = [...documents, architecture].flatMap(({ file, text }) =>
    [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => {
      const named = [...text.slice(0, match.index).matchAll(/`((?:src|examples)\/[\w./-]+\.ts)`/g)].at(-1)?.[1];
      return { file, path: named ?? "examples/anything.ts", code: match[1]! };
    }),
  );
  const exists = ({ path }: { path: string }) => existsSync(join(root, path));

  test.for(blocks.filter(exists))("a part of $path stands word for word in $file", ({ path, code }) => {
    expect(readFileSync(join(root, path), "utf8")).toContain(code);
  });

  test("what is no file here type-checks where the document says it goes", () => {
    const placed = blocks
      .filter((block) => !exists(block))
      .map(({ file, path, code }, k) => ({ file, code, path: join(root, dirname(path), `of-a-document-${k}.ts`) }));
    const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
    const files = placed.map(({ path }) => path);
    const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files }, ts.sys, root);
    const host = ts.createCompilerHost(options);
    const codeAt = (name: string) => placed.find(({ path }) => relative(path, name) === "")?.code;
    const { fileExists, readFile } = host;
    host.fileExists = (name) => codeAt(name) !== undefined || fileExists(name);
    host.readFile = (name) => codeAt(name) ?? readFile(name);
    const program = ts.createProgram(files, options, host);
    const problems = placed.flatMap(({ file, path }) => {
      const source = program.getSourceFile(path);
      const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
      return found.map(({ messageText }) => `${file}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
    });
    expect(files.length).toBeGreaterThan(0);
    expect(problems).toEqual([]);
  });
});
