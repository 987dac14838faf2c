// Prints a Markdown table of what runs on pictures measured before and after, mean ± standard deviation over them (same
// configuration, other seeds). For exact worlds `nabla validate` does this.
//   node scripts/seeds-table.mjs runs/quick-0 runs/quick-1 runs/quick-2
import { readFileSync } from "node:fs";
import { join } from "node:path";

const runs = process.argv.slice(2).map((dir) => JSON.parse(readFileSync(join(dir, "summary.json"), "utf8")));
if (runs.length === 0) throw new Error("give one or more run directories");

const measures = [
  ["reward", "reward"],
  ["diversity", "diversity"],
  ["diversity, third-party feature (MobileNetV2)", "diversityThirdParty"],
  ["prompt agreement", "promptAgreement"],
].filter(([, key]) => runs[0].before[key] !== undefined);

/** Labels and functions run → number, null where a column has no such number. */
const rows = [
  ...measures.map(([label, key]) => [label, (r) => r.before[key], (r) => r.after[key]]),
  ["rise of the reward / its std before", null, (r) => (r.after.reward - r.before.reward) / r.before.rewardStd],
  ...measures.slice(1).map(([label, key]) => [`${label}, share kept`, null, (r) => r.after[key] / r.before[key]]),
  ["distance to the prior", (r) => r.after.priorDistanceFloor, (r) => r.after.priorDistance],
];

console.log("| | before | after |\n|---|---|---|");
for (const [label, ...cells] of rows) {
  console.log(`| ${label} | ${cells.map((cell) => (cell ? spread(runs.map(cell)) : "")).join(" | ")} |`);
}
const seconds = spread(
  runs.map((r) => r.seconds),
  0,
);
console.log(`\n${runs[0].before.images} samples before and after, the same noise; ${seconds} s; ${runs.length} seeds.`);

function spread(values, digits = 4) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1);
  const shown = mean.toFixed(digits);
  return values.length > 1 ? `${shown} ± ${Math.sqrt(variance).toFixed(digits)}` : shown;
}
