// Uses the package as somebody else would: packs it, installs it into an empty folder, and there imports every entry, checks the
// types of every entry, and runs the commands.
//   npm run check:package
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const npm = process.env.npm_execpath; // npm's own script, which needs no shell on any platform
if (!npm) throw new Error("Run it as npm run check:package: npm then says where npm is.");

const { name, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const entries = Object.entries(exports)
  .filter(([, target]) => typeof target === "object")
  .map(([path]) => path.replace(/^\./, name));
const maxPackedBytes = 30e6;
const shipped = [
  /^dist\/.+\.(js|d\.ts)$/,
  /^assets\/(models|pictures)\/.+\.(json|safetensors|txt|md|png)$/,
  /^configs\/.+\.(yaml|txt)$/,
  /^docs\/guide\/.+\.md$/,
  /^(package\.json|README\.md|NOTICE\.md|LICENSE)$/,
];

const work = mkdtempSync(join(tmpdir(), "nablaflow-package-"));
const packed = join(work, "packed");
const consumer = join(work, "consumer"); // somebody else's project
const installed = join(consumer, "node_modules", name);
for (const folder of [packed, consumer]) mkdirSync(folder);

/** Runs a program of Node's in `cwd`; what it wrote to stdout. Throws with everything it wrote when it fails. */
function node(args, cwd = consumer) {
  try {
    const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" }; // no CUDA libraries
    return execFileSync(process.execPath, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch ({ status, stdout, stderr }) {
    throw new Error(`${args.join(" ")}\nended with exit code ${status}:\n${stdout}${stderr}`);
  }
}
const npx = (...args) => node([npm, "exec", "--no", "--", ...args]);
const json = (text) => JSON.parse(text);
const filesOf = (folder) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => statSync(join(folder, file)).isFile())
    .map((file) => file.replaceAll("\\", "/"));

function expect(good, problem) {
  if (!good) throw new Error(problem);
}
function expectNone(files, problem) {
  expect(files.length === 0, `${problem}: ${files.slice(0, 10).join(", ")}${files.length > 10 ? ", …" : ""}`);
}

const shortSettings = JSON.parse(readFileSync(join(root, "tests/short-run.json"), "utf8"));
const shortRun = ["prompts=[a cat]", ...shortSettings].flatMap((setting) => ["--set", setting]);

const steps = {
  "npm pack makes one small file"() {
    node([npm, "pack", "--pack-destination", packed], root);
    const files = readdirSync(packed);
    expect(files.length === 1, `expected one file, but there are: ${files.join(", ")}`);
    const bytes = statSync(join(packed, files[0])).size;
    expect(bytes <= maxPackedBytes, `${(bytes / 1e6).toFixed(1)} MB are more than ${maxPackedBytes / 1e6} MB`);
    return `${(bytes / 1e6).toFixed(1)} MB`;
  },
  "it installs into an empty folder"() {
    writeFileSync(join(consumer, "package.json"), '{ "private": true, "type": "module" }\n');
    const file = join(packed, readdirSync(packed)[0]);
    node([npm, "install", file, "--no-audit", "--no-fund", "--prefer-offline"]);
    expect(existsSync(installed), `${installed} is missing`);
  },
  "it holds what it needs to run, and nothing else"() {
    const files = filesOf(installed).filter((file) => !file.startsWith("node_modules/"));
    expectNone(
      files.filter((file) => !shipped.some((pattern) => pattern.test(file))),
      "does not belong into the package",
    );
    const source = (file) => file.replace(/^dist\//, "src/").replace(/(\.d\.ts|\.js)$/, ".ts");
    expectNone(
      files.filter((file) => file.startsWith("dist/") && !existsSync(join(root, source(file)))),
      "built from a source that is gone",
    );
    const tracked = ["assets", "configs", "docs/guide"].flatMap((top) =>
      filesOf(join(root, top)).map((file) => `${top}/${file}`),
    );
    expectNone(
      tracked.filter((file) => !files.includes(file)),
      "is missing",
    );
    return `${files.length} files`;
  },
  "every entry can be imported, and trains"() {
    const lines = [
      ...entries.map(
        (entry) => `if (Object.keys(await import("${entry}")).length === 0) throw new Error("${entry} is empty");`,
      ),
      `import { readConfig, train } from "${name}";`,
      `import { nodeRuntime } from "${name}/runtime/node";`,
      'const set = ["train.updates=1", "train.trajectories=4"];',
      'const config = await readConfig("configs/worlds/ring8.yaml", { set });',
      "let updates = 0;",
      'for await (const { type } of train(config, { runtime: nodeRuntime() })) if (type === "step") updates++;',
      'if (updates !== 1) throw new Error("expected one update, but there were " + updates);',
    ];
    writeFileSync(join(consumer, "imports.mjs"), lines.join("\n"));
    node(["imports.mjs"]);
    return `${entries.length} entries`;
  },
  "every entry has types, also without skipLibCheck"() {
    const names = entries.map((_, k) => `entry${k}`);
    const lines = [
      ...entries.map((entry, k) => `import * as entry${k} from "${entry}";`),
      `export const all = [${names.join(", ")}];`,
    ];
    writeFileSync(join(consumer, "types.ts"), `${lines.join("\n")}\n`);
    const compilerOptions = {
      ...{ target: "ES2022", module: "nodenext", moduleResolution: "nodenext", strict: true, noEmit: true },
      ...{ exactOptionalPropertyTypes: true, skipLibCheck: false, types: [] },
    };
    writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["types.ts"] }));
    node([join(root, "node_modules/typescript/bin/tsc"), "-p", "."]);
  },
  "npx nabla --help"() {
    expect(npx("nabla", "--help").includes("quickstart"), "the help does not name quickstart");
  },
  "npx nabla doctor"() {
    const { checks } = json(npx("nabla", "doctor", "--json"));
    expectNone(
      checks.filter(({ ok, optional }) => !ok && !optional).map(({ name, found }) => `${name}: ${found}`),
      "not fine",
    );
  },
  "npx nabla quickstart"() {
    const { after } = json(npx("nabla", "quickstart", ...shortRun, "--json"));
    expect(Number.isFinite(after.reward), `the reward after is ${after.reward}`);
    const run = filesOf(join(consumer, "runs/quickstart"));
    const needed = ["report.html", "summary.json", "config.json", "events.jsonl", "final.safetensors"];
    expectNone(
      needed.filter((file) => !run.includes(file)),
      "not written",
    );
  },
  "npx nabla sample"() {
    const { files } = json(npx("nabla", "sample", "runs/quickstart", "--count", "2", "--out", "samples", "--json"));
    expectNone(
      files.map(({ file }) => file).filter((file) => !existsSync(join(consumer, file))),
      "not written",
    );
  },
  "npx nabla evaluate"() {
    const evaluation = json(npx("nabla", "evaluate", "runs/quickstart", "--json"));
    const { after } = json(readFileSync(join(consumer, "runs/quickstart/summary.json"), "utf8"));
    const { value } = evaluation.metrics.reward;
    expect(value === after.reward, `evaluate says reward ${value}, the run's summary ${after.reward}`);
  },
};

let failed = 0;
try {
  for (const [title, step] of Object.entries(steps)) {
    const start = performance.now();
    try {
      const note = step();
      console.log(`ok      ${title}${note ? `: ${note}` : ""} (${((performance.now() - start) / 1000).toFixed(0)} s)`);
    } catch (error) {
      failed++;
      console.log(`FAILED  ${title}\n${error.message.replace(/^/gm, "        ")}`);
      if (!existsSync(installed)) break; // nothing to look at
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;
