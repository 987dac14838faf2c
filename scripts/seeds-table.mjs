// Prints a Markdown table of what runs measured, mean ± standard deviation over them (same configuration, other seeds):
//   node scripts/seeds-table.mjs runs/ring8-0 runs/ring8-1 runs/ring8-2      exact worlds: beside target and tilted sampler
//   node scripts/seeds-table.mjs runs/quick-0 runs/quick-1 runs/quick-2      pictures: before and after
import { readFileSync } from "node:fs";
import { join } from "node:path";

const runs = process.argv.slice(2).map((dir) => JSON.parse(readFileSync(join(dir, "summary.json"), "utf8")));
if (runs.length === 0) throw new Error("give one or more run directories");

const spread = (values, digits = 4) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1);
  const shown = mean.toFixed(digits);
  return values.length > 1 ? `${shown} ± ${Math.sqrt(variance).toFixed(digits)}` : shown;
};

/** Rows of labels and functions run → number, or undefined where a column has no such number. */
function print(columns, rows) {
  console.log(`| | ${columns.join(" | ")} |`);
  console.log(`|---|${"---|".repeat(columns.length)}`);
  for (const [label, ...cells] of rows) {
    const texts = cells.map((cell) => (cell ? spread(runs.map(cell)) : ""));
    console.log(`| ${label} | ${texts.join(" | ")} |`);
  }
}

function exactWorlds() {
  const columns = { pretrained: (e) => e.pretrained, finetuned: (e) => e, "tilted sampler": (e) => e.floor };
  const parts = Object.values({ ...columns, "exact target": (e) => e.target });
  const measures = [
    ["mean reward", "meanReward"],
    ["mode TV", "modeTV"],
    ["energy distance", "energyDistance"],
    ["within-mode std / exact", "withinStdRatio"],
  ];
  print(
    [...Object.keys(columns), "exact target"],
    measures.map(([label, key]) => [label, ...parts.map((part) => (run) => part(run.exact)[key])]),
  );
  const over = (key) => spread(runs.map(({ exact }) => exact[key]));
  console.log(`\nELBO ${over("elbo")}, importance ESS ${over("importanceEss")}; ${runs.length} seeds.`);
}

function pictures() {
  const measures = [
    ["reward", "reward"],
    ["diversity", "diversity"],
    ["diversity, third-party feature (MobileNetV2)", "diversityThirdParty"],
    ["prompt agreement", "promptAgreement"],
  ].filter(([, key]) => runs[0].before[key] !== undefined);
  const gain = [
    "rise of the reward / its std before",
    null,
    (r) => (r.after.reward - r.before.reward) / r.before.rewardStd,
  ];
  const distance = ["distance to the prior", (r) => r.after.priorDistanceFloor, (r) => r.after.priorDistance];
  const shares = measures
    .slice(1)
    .map(([label, key]) => [`${label}, share kept`, null, (r) => r.after[key] / r.before[key]]);
  const rows = measures.map(([label, key]) => [label, (r) => r.before[key], (r) => r.after[key]]);
  print(["before", "after"], [...rows, gain, ...shares, distance]);
  const seconds = spread(
    runs.map((r) => r.seconds),
    0,
  );
  console.log(
    `\n${runs[0].before.images} samples before and after, the same noise; ${seconds} s; ${runs.length} seeds.`,
  );
}

if (runs.every((run) => run.exact)) exactWorlds();
else pictures();
