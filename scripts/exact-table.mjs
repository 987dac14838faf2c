// Prints a Markdown table of exact measures, mean ± standard deviation over the runs given (same configuration, other seeds):
//   node scripts/exact-table.mjs runs/ring8-0 runs/ring8-1 runs/ring8-2
import { readFileSync } from "node:fs";
import { join } from "node:path";

const runs = process.argv.slice(2).map((dir) => JSON.parse(readFileSync(join(dir, "summary.json"), "utf8")).exact);
if (runs.length === 0) throw new Error("give one or more run directories of an exact world");

const spread = (values) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1);
  return values.length > 1 ? `${mean.toFixed(4)} ± ${Math.sqrt(variance).toFixed(4)}` : mean.toFixed(4);
};
const measures = {
  meanReward: "mean reward",
  modeTV: "mode TV",
  energyDistance: "energy distance",
  withinStdRatio: "within-mode std / exact",
};
const columns = {
  pretrained: (r) => r.pretrained,
  finetuned: (r) => r,
  "tilted sampler": (r) => r.floor,
  "exact target": (r) => r.target,
};

console.log(`| | ${Object.keys(columns).join(" | ")} |`);
console.log(`|---|${"---|".repeat(Object.keys(columns).length)}`);
for (const [key, label] of Object.entries(measures)) {
  console.log(
    `| ${label} | ${Object.values(columns)
      .map((pick) => spread(runs.map((r) => pick(r)[key])))
      .join(" | ")} |`,
  );
}
console.log(
  `\nELBO ${spread(runs.map((r) => r.elbo))}, importance ESS ${spread(runs.map((r) => r.importanceEss))}; ${runs.length} seeds.`,
);
