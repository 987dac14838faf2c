import { existsSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { env } from "onnxruntime-node";
import { assetPath } from "../core/package-root.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { input } from "../tensor/index.ts";
import type { Cli } from "./cli.ts";
import { table } from "./table.ts";

interface Check {
  name: string;
  ok: boolean;
  found: string;
}

const assets = {
  "bundled model": "models/animals-32/unet/diffusion_pytorch_model.safetensors",
  "reward style-score": "models/style-score/model.safetensors",
  "reward prompt-score": "models/prompt-score/model.safetensors",
  "feature network": "models/features/model.safetensors",
  "agreement network": "models/agreement/model.safetensors",
  pictures: "pictures/animals-32/index.json",
};

export function addDoctor({ program }: Cli): void {
  program
    .command("doctor")
    .summary("check that this machine can run everything")
    .description("Checks Node, ONNX Runtime and the bundled files, and compiles and runs a small program.")
    .option("--json", "print {ok, checks} to stdout", false)
    .addHelpText("after", "\nExamples:\n  nabla doctor\n  nabla doctor --json\n")
    .action(async ({ json }: { json: boolean }) => {
      const checks = [...machine(), ...bundled(), await smallProgram()];
      const ok = checks.every((check) => check.ok);
      if (json) process.stdout.write(`${JSON.stringify({ ok, checks }, null, 2)}\n`);
      else {
        const rows = checks.map(({ name, ok: good, found }) => [good ? "ok" : "FAILED", name, found]);
        process.stdout.write(`${table(rows, { align: "left" })}\n`);
      }
      if (!ok) process.exitCode = 1;
    });
}

function machine(): Check[] {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return [
    { name: "Node", ok: major > 20 || (major === 20 && minor >= 19), found: `${process.version} (20.19 or newer)` },
    { name: "ONNX Runtime", ok: env.versions.node !== undefined, found: env.versions.node ?? "not found" },
    { name: "processor", ok: true, found: `${cpus()[0]?.model ?? process.arch}, ${availableParallelism()} threads` },
  ];
}

function bundled(): Check[] {
  return Object.entries(assets).map(([name, path]) => {
    const ok = existsSync(assetPath(path));
    return { name, ok, found: ok ? `assets/${path}` : `assets/${path} is missing: install the package again` };
  });
}

/** Compiles y = x² + 1 and compares what it gives with what is right. */
async function smallProgram(): Promise<Check> {
  const name = "compile and run";
  try {
    const started = performance.now();
    const program = await nodeRuntime().compile({ y: input("x", [4]).square().add(1) });
    const { y } = await program.run({ x: Float32Array.of(0, 1, 2, -3) });
    const ok = [1, 2, 5, 10].every((value, k) => y![k] === value);
    await program.release();
    return { name, ok, found: ok ? `${(performance.now() - started).toFixed(0)} ms` : `x² + 1 came out as ${y}` };
  } catch (error) {
    return { name, ok: false, found: (error as Error).message };
  }
}
