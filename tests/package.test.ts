import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { shippedPath } from "../src/core/package-root.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = JSON.parse(read("package.json")) as {
  bin: Record<string, string>;
  exports: Record<string, string | { types: string; default: string }>;
  files: string[];
};

/** Folders without a public face: the command line is used as a command. */
const unexported = ["cli"];
const maxPackedBytes = 30e6;

const topOf = (path: string) => path.split("/")[0]!;

/** The source that a built file is compiled from. */
const sourceOf = (built: string) => built.replace(/^\.\/dist\//, "src/").replace(/(\.d\.ts|\.js)$/, ".ts");

describe("exports", () => {
  const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === "string" ? [] : [{ name, ...target }],
  );

  test("every folder of src is exported under its name", () => {
    const folders = readdirSync(join(root, "src"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !unexported.includes(entry.name))
      .map(({ name }) => `./${name}`);
    const names = entries.map(({ name }) => name);
    expect([".", ...folders].filter((folder) => !names.includes(folder))).toEqual([]);
  });

  test.each(entries)(
    "$name is built from a source of that name and has types beside it",
    ({ name, types, default: js }) => {
      expect(sourceOf(types)).toBe(sourceOf(js));
      const path = name.replace(/^\.\/?/, "");
      expect(["index.ts", `${path}/index.ts`, `${path}.ts`].map((file) => `src/${file}`)).toContain(sourceOf(js));
      expect(existsSync(join(root, sourceOf(js))), `${sourceOf(js)} exists`).toBe(true);
    },
  );

  test("the command is built from a script for Node", () => {
    for (const built of Object.values(manifest.bin)) {
      expect(read(sourceOf(built)).startsWith("#!/usr/bin/env node\n")).toBe(true);
    }
  });
});

test("assets/… is the package's own whatever the working directory holds; configs/… may be the user's", () => {
  const folder = mkdtempSync(join(tmpdir(), "nablaflow-elsewhere-"));
  const before = process.cwd();
  mkdirSync(join(folder, "assets/models/animals-32"), { recursive: true });
  mkdirSync(join(folder, "configs"));
  writeFileSync(join(folder, "configs/quickstart.yaml"), "");
  process.chdir(folder);
  try {
    expect(shippedPath("assets/models/animals-32")).toBe(join(root, "assets/models/animals-32"));
    expect(shippedPath("assets/models/mine")).toBe("assets/models/mine");
    expect(shippedPath("configs/animals-32.yaml")).toBe(join(root, "configs/animals-32.yaml"));
    expect(shippedPath("configs/quickstart.yaml")).toBe("configs/quickstart.yaml");
  } finally {
    process.chdir(before);
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("what is installed", () => {
  test("the lock file names no host packages come from", () => {
    const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, { resolved?: string }> };
    expect(Object.entries(lock.packages).filter(([, { resolved }]) => resolved)).toEqual([]);
  });

  test("the package holds what it needs to run, no more, and is small", () => {
    const npm = process.env.npm_execpath;
    const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const [command, before] = npm ? [process.execPath, [npm]] : ["npm", []];
    const windows = process.platform === "win32" && !npm;
    const output = execFileSync(command, [...before, ...args], {
      cwd: root,
      encoding: "utf8",
      shell: windows,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [packed] = Object.values(JSON.parse(output)) as [{ size: number; files: { path: string }[] }];
    const paths = packed.files.map(({ path }) => path);
    const tops = new Set(paths.map(topOf));
    const allowed = new Set(["package.json", ...manifest.files.filter((file) => !file.startsWith("!")).map(topOf)]);
    expect([...tops].filter((top) => !allowed.has(top))).toEqual([]);
    expect(paths.filter((path) => /\.(map|tsbuildinfo)$/.test(path))).toEqual([]);
    const needed = [
      ...["LICENSE", "NOTICE.md", "README.md"],
      ...["assets/pictures/animals-32/LICENSES.md", "configs/animals-32.yaml"],
      ...Object.values(manifest.bin).map((path) => path.replace("./", "")),
    ];
    expect(needed.filter((path) => !paths.includes(path))).toEqual([]);
    expect(packed.size).toBeLessThan(maxPackedBytes);
  });
});
