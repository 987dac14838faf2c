import { Command } from "commander";
import { vi } from "vitest";
import { addEvaluate } from "../../src/cli/evaluate.ts";
import { addSample } from "../../src/cli/sample.ts";

/** What `nabla sample` or `nabla evaluate` prints as JSON. */
export async function printedJson(args: readonly string[]) {
  const program = new Command().exitOverride();
  const cli = { program, signal: new AbortController().signal };
  addSample(cli);
  addEvaluate(cli);
  const printed: string[] = [];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text)) > 0);
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    await program.parseAsync([...args, "--json"], { from: "user" });
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
  return JSON.parse(printed.join(""));
}
