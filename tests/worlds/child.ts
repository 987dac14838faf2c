import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Trains in a process of its own; prints the number of each update when it is done. */
const program = `
import { readFileSync } from "node:fs";
import { trainToFile } from "./tests/worlds/training.js";
const [path, config] = process.argv.slice(2);
await trainToFile(JSON.parse(readFileSync(config, "utf8")), path, {
  onEvent: (event) => event.type === "step" && process.stdout.write(event.update + "\\n"),
});
`;

/** A folder with the sources and the worlds as JavaScript, which a plain Node process can run. */
export function transpiled(out: string): string {
  for (const part of ["src", "tests/worlds"]) {
    for (const file of readdirSync(join(root, part), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const { outputText } = ts.transpileModule(readFileSync(join(root, part, file), "utf8"), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2022,
          module: ts.ModuleKind.ES2022,
          rewriteRelativeImportExtensions: true,
          verbatimModuleSyntax: true,
        },
      });
      const to = join(out, part, file.replace(/ts$/, "js"));
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, outputText);
    }
  }
  symlinkSync(join(root, "node_modules"), join(out, "node_modules"), "junction");
  writeFileSync(join(out, "package.json"), '{"type":"module"}');
  writeFileSync(join(out, "train.js"), program);
  return out;
}

/**
 * Starts training in the folder `run` with a configuration file. `exit` tells the signal that ended the process, or its
 * exit code; `onUpdate` hears of each update.
 */
export function startTraining(
  code: string,
  run: string,
  config: string,
  onUpdate: (update: number) => void = () => {},
) {
  const child: ChildProcess = spawn(process.execPath, [join(code, "train.js"), run, config], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    for (const line of text.trim().split("\n")) onUpdate(Number(line));
  });
  const exit = new Promise<string | number>((resolve) =>
    child.once("exit", (status, signal) => resolve(signal ?? status!)),
  );
  return { child, exit };
}
