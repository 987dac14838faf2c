// Writes the registry of each folder of parts from its file names: one file per reward, objective, sampler, model.
//   npm run gen             rewrite
//   npm run gen -- --check  fail when a registry is out of date
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const registries = [
  { folder: "src/models", define: "defineModel", list: "modelKinds", type: "ModelKind", from: "./kind.ts" },
  { folder: "src/rewards", define: "defineReward", list: "rewardKinds", type: "RewardKind", from: "./reward.ts" },
  {
    folder: "src/objectives",
    define: "defineObjective",
    list: "objectiveKinds",
    type: "ObjectiveKind",
    from: "./objective.ts",
  },
  {
    folder: "src/diffusion/samplers",
    define: "defineSampler",
    list: "samplerKinds",
    type: "SamplerKind",
    from: "../sampler.ts",
  },
];

const check = process.argv.includes("--check");
let stale = 0;
for (const registry of registries) {
  const path = join(root, registry.folder, "kinds.ts");
  const text = render(registry);
  let before = "";
  try {
    before = readFileSync(path, "utf8");
  } catch {
    // no registry yet
  }
  if (before === text) continue;
  if (check) {
    console.error(`${registry.folder}/kinds.ts is out of date: run npm run gen`);
    stale++;
  } else {
    writeFileSync(path, text);
    console.log(`wrote ${registry.folder}/kinds.ts`);
  }
}
process.exitCode = stale > 0 ? 1 : 0;

function render({ folder, define, list, type, from }) {
  const parts = readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".ts") && file !== "kinds.ts")
    .sort(byName)
    .flatMap((file) => {
      const source = readFileSync(join(root, folder, file), "utf8");
      return [...source.matchAll(new RegExp(`export const (\\w+) = ${define}\\b`, "g"))].map(([, name]) => ({
        file,
        name,
      }));
    });
  const imports = [
    { path: from, line: `import type { ${type} } from "${from}";` },
    ...parts.map(({ file, name }) => ({ path: `./${file}`, line: `import { ${name} } from "./${file}";` })),
  ].sort((a, b) => byName(a.path, b.path));
  const names = parts.map(({ name }) => name);
  const array = `export const ${list}: readonly ${type}[] = [${names.join(", ")}];`;
  const wrapped =
    array.length <= 120
      ? array
      : `export const ${list}: readonly ${type}[] = [\n${names.map((n) => `  ${n},\n`).join("")}];`;
  return `// Written by npm run gen from the files of this folder.\n${imports.map(({ line }) => line).join("\n")}\n\n${wrapped}\n`;
}

/** Without the ending, as Biome sorts imports: draft before draft-lv. */
function byName(a, b) {
  return a.replace(/\.ts$/, "") < b.replace(/\.ts$/, "") ? -1 : 1;
}
