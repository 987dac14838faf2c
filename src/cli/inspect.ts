import { explicitHubId, fromHub } from "../hub/index.ts";
import { showValue } from "../weights/show-value.ts";
import type { Cli } from "./cli.ts";
import { type Description, describePath } from "./describe-path.ts";
import { shownHub } from "./hub.ts";
import { withProgress } from "./progress.ts";
import { table } from "./table.ts";

export function addInspect({ program, signal }: Cli): void {
  program
    .command("inspect")
    .summary("say what a file or folder of weights is")
    .description(
      "Says what a file or folder is: safetensors (also in shards), a file of torch.save, a diffusers folder, a run directory or an ONNX model; with architecture, number of parameters, number formats and metadata, and of a LoRA its dialect, rank and alpha. Nothing in a file is executed.",
    )
    .argument("<path>", "file, folder or hf:owner/name@revision, which is loaded first")
    .option("--json", "print {path, kind, …} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla inspect assets/models/animals-32
  nabla inspect runs/quickstart
  nabla inspect lora/glossy.safetensors
  nabla inspect downloaded.pth --json
`,
    )
    .action(async (path: string, { json }: { json: boolean }) => {
      const id = explicitHubId(path);
      const local = await withProgress(0, async (progress) =>
        id ? fromHub(await shownHub({ signal }, progress)(), id) : path,
      );
      const described = await describePath(local);
      const text = json ? JSON.stringify({ path, ...described }, null, 2) : linesOf(path, described);
      process.stdout.write(`${text}\n`);
    });
}

/** What a description says at the top, as rows of name and value; lists of parts and metadata follow indented. */
function linesOf(path: string, { kind, ...facts }: Description): string {
  const rows = Object.entries(facts).flatMap(([name, value]) => rowsOf(name, value, 0));
  return `${path}: ${kind}\n${table(rows, { align: "left" })}`;
}

function rowsOf(name: string, value: unknown, depth: number): string[][] {
  const label = `${"  ".repeat(depth + 1)}${plainText(name)}`;
  if (typeof value === "number") return [[label, value.toLocaleString("en", { maximumFractionDigits: 4 })]];
  if (Array.isArray(value) || typeof value !== "object" || value === null) {
    return [[label, typeof value === "string" ? plainText(value) : showValue(value)]];
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return [];
  return [[label], ...entries.flatMap(([inner, item]) => rowsOf(inner, item, depth + 1))];
}

/** Text from a file, short and without control characters, which could steer a terminal. */
const plainText = (text: string): string =>
  showValue(text)
    .slice(1)
    .replace(/"$/, "")
    .replaceAll(/[\x7f-\x9f]/g, "?");
