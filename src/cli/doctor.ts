import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { Option } from "commander";
import { env } from "onnxruntime-node";
import { assetPath } from "../core/package-root.ts";
import { checkProvider, type NodeProvider, nodeRuntime } from "../runtime/node.ts";
import { nodeProviders } from "../runtime/providers.ts";
import { input } from "../tensor/index.ts";
import type { Cli } from "./cli.ts";
import { table } from "./table.ts";

interface Check {
  name: string;
  ok: boolean;
  found: string;
  /** Nothing is wrong with a machine that lacks it. */
  optional?: true;
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
    .description(
      "Checks Node, ONNX Runtime and the bundled files, compiles and runs a small program, and tells which providers (train.provider) run here.",
    )
    .addOption(new Option("--provider <name>", "check this provider only").choices(nodeProviders))
    .option("--json", "print {ok, checks} to stdout", false)
    .addHelpText("after", "\nExamples:\n  nabla doctor\n  nabla doctor --json\n  nabla doctor --provider webgpu\n")
    .action(async ({ json, provider }: { json: boolean; provider?: NodeProvider }) => {
      const checks = provider
        ? [await tried(provider)]
        : [...machine(), ...bundled(), await smallProgram(), ...providers()];
      const ok = checks.every((check) => check.ok || check.optional);
      if (json) process.stdout.write(`${JSON.stringify({ ok, checks }, null, 2)}\n`);
      else {
        const verdict = ({ ok: good, optional }: Check) => (good ? "ok" : optional ? "-" : "FAILED");
        const rows = checks.map((check) => [verdict(check), check.name, check.found]);
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

/** Whether a provider runs here, and if not, why and how to get it. */
async function tried(provider: NodeProvider): Promise<Check> {
  try {
    await checkProvider(provider);
    return { name: `provider ${provider}`, ok: true, found: "runs" };
  } catch (error) {
    return { name: `provider ${provider}`, ok: false, found: (error as Error).message };
  }
}

/**
 * The providers beside the CPU, none of which must be there. Each is tried in a process of its own: drivers write to stderr,
 * and may end the process.
 */
function providers(): Check[] {
  return nodeProviders.slice(1).map((provider) => {
    const { status } = spawnSync(process.execPath, [process.argv[1]!, "doctor", "--provider", provider], {
      stdio: "ignore",
    });
    const ok = status === 0;
    const found = ok ? "runs" : `does not run here: nabla doctor --provider ${provider} says why`;
    return { name: `provider ${provider}`, ok, found, optional: true };
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
