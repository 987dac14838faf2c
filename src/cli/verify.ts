import { compareLoras } from "../weights/index.ts";
import { amount } from "./arguments.ts";
import type { Cli } from "./cli.ts";
import { baseHelp } from "./lora-options.ts";
import { openLora } from "./open-lora.ts";
import { table } from "./table.ts";

interface VerifyFlags {
  base?: string;
  tolerance: number;
  json: boolean;
}

export function addVerify({ program }: Cli): void {
  program
    .command("verify")
    .summary("compare what two LoRAs do to a model")
    .description(
      "Compares the changes that two LoRAs of any format make to the weights, W0 + dW of one against W0 + dW of the other, which no W0 can hide: for each module the largest difference relative to the largest change. Ends with 1 when one is above the tolerance.",
    )
    .argument("<a>", "safetensors file, peft folder or run directory")
    .argument("<b>", "the same")
    .option("--base <folder>", baseHelp)
    .option(
      "--tolerance <x>",
      "largest relative difference allowed; half precision needs 0.002, bf16 0.02",
      amount,
      1e-4,
    )
    .option("--json", "print {same, tolerance, worst, modules: {name: difference}} to stdout", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla verify runs/quickstart runs/quickstart/export/diffusers
  nabla verify style.safetensors style-peft --base stable-diffusion-v1-5
  nabla verify style.safetensors half/style.safetensors --tolerance 0.002 --json
`,
    )
    .action(async (a: string, b: string, { base, tolerance, json }: VerifyFlags) => {
      const differences = compareLoras(await openLora(a, base), await openLora(b, base));
      const worst = differences.reduce((largest, { difference }) => Math.max(largest, difference), 0);
      const same = worst <= tolerance;
      if (!same) process.exitCode = 1;
      const rows = differences.map(({ module, difference }) => [module, difference.toExponential(2)]);
      const verdict = `${same ? "Same" : "Different"}: the largest relative difference is ${worst.toExponential(2)}, allowed ${tolerance}.`;
      const said = `${table([["module", "difference"], ...rows])}\n${verdict}\n`;
      if (!json) {
        process.stdout.write(said);
        return;
      }
      process.stderr.write(`${verdict}\n`);
      const modules = Object.fromEntries(differences.map(({ module, difference }) => [module, difference]));
      process.stdout.write(`${JSON.stringify({ same, tolerance, worst, modules }, null, 2)}\n`);
    });
}
