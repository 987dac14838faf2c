import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NonFiniteError } from "../src/core/errors.ts";
import { leastEss } from "../src/core/importance.ts";
import { packagePath } from "../src/core/package-root.ts";
import { plainMethods, readMethods } from "../src/evaluate/methods.ts";
import { targetLaw } from "../src/evaluate/path-summary.ts";
import { trainPlanned, type ValidateOptions, validate } from "../src/evaluate/validate.ts";
import { type PlannedRun, planValidation } from "../src/evaluate/validation-plan.ts";
import type { MethodResult, WorldResult } from "../src/evaluate/validation-result.ts";
import { validationDocument, worldSection } from "../src/evaluate/validation-table.ts";
import type { ExactReference, ExactSummary, RunSummary } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nablaflow-validate-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ring8 = readFileSync(packagePath("configs/worlds/ring8.yaml"), "utf8");

/** A file with ring8 and more keys; `replaced` sets a line of it. */
function world(name: string, more: string, replaced: [from: string | RegExp, to: string] = ["", ""]): string {
  const path = join(folder, `${name}.yaml`);
  const text = ring8.replace(...replaced);
  if (replaced[0] !== "") expect(text).not.toBe(ring8);
  writeFileSync(path, `${text}\n${more}\n`);
  return path;
}

type Some = Partial<Omit<ValidateOptions, "methods">> & { methods?: string[] };

async function all({
  methods = ["residual-nabla-db", "ddpo"],
  ...options
}: Some & Pick<ValidateOptions, "worlds" | "train">) {
  const results: WorldResult[] = [];
  const plan = { methods: plainMethods(methods), seeds: [0], out: join(folder, "out") };
  for await (const result of validate({ ...plan, ...options })) {
    results.push(result);
  }
  return results;
}

const reference = (meanReward: number): ExactReference => ({
  meanReward,
  modeTV: 0.25,
  energyDistance: 0.5,
  energyDistanceError: 0.01,
  withinStdRatio: 1,
});

/** A run's summary as far as a validation reads it. */
function summary(meanReward: number, ess: number, prompts?: ExactSummary["prompts"]): RunSummary {
  const model = { reward: 0, rewardStd: 0, diversity: 0, images: 0, seeds: [] };
  const exact: ExactSummary = {
    ...reference(meanReward),
    elbo: 0,
    importanceEss: 1,
    pretrained: reference(-3),
    target: reference(-1),
    floor: { ...reference(-1.5), ess },
    ...(prompts && { prompts }),
  };
  return { before: model, after: model, seconds: 1, exact };
}

const never = () => Promise.reject(new Error("nothing is to be trained here"));

describe("a world with made-up runs", () => {
  let result: WorldResult;
  const trained: PlannedRun[] = [];
  beforeAll(async () => {
    const path = world("eta", "", [/sampler: .*/, "sampler: { kind: ddim, steps: 20, eta: 0.5 }"]);
    [result] = (await all({
      worlds: [path],
      methods: ["ddpo", "flow-grpo", "adjoint-matching"],
      seeds: [0, 1, 2],
      updates: 7,
      train: async (run) => {
        trained.push(run);
        if (run.method === "flow-grpo") throw new NonFiniteError(`a loss is NaN\n(seed ${run.seed})`);
        return summary(-1 - run.seed, 1234);
      },
    })) as [WorldResult];
  });
  const of = (method: string) => result.methods.find((row) => row.method === method)!;

  test("each run has its seed, its updates and its own folder", () => {
    const ddpo = trained.filter(({ method }) => method === "ddpo");
    expect(ddpo.map(({ path }) => path)).toEqual(
      [0, 1, 2].map((seed) => join(folder, "out", "eta", "ddpo", `seed-${seed}`)),
    );
    expect(ddpo.map(({ config }) => config.train)).toMatchObject([0, 1, 2].map((seed) => ({ seed, updates: 7 })));
    expect(ddpo[0]!.config.objective.kind).toBe("ddpo");
  });

  test("mean and standard deviation are over seeds, with n − 1", () => {
    const { measures } = of("ddpo") as MethodResult;
    expect(measures!.meanReward).toEqual({ mean: -2, std: 1 }); // of −1, −2, −3
    expect(measures!.modeTV).toEqual({ mean: 0.25, std: 0 });
  });

  test("a method of which no run reaches its end has no measures", () => {
    const wholly = of("flow-grpo") as MethodResult;
    expect(wholly).toMatchObject({ finished: [], diverged: [{ seed: 0 }, { seed: 1 }, { seed: 2 }] });
    expect(wholly).not.toHaveProperty("measures");
  });

  test("a method that does not fit the chain is not run, and says why", () => {
    expect(of("adjoint-matching")).toEqual({
      method: "adjoint-matching",
      refused: expect.stringContaining("forgets its start"),
    });
    expect(trained.map(({ method }) => method)).not.toContain("adjoint-matching");
  });

  test("the table", () => {
    const lines = worldSection(result).split("\n");
    expect(lines.slice(0, 11)).toEqual([
      "## eta",
      "",
      "7 updates, beta 1, seeds 0, 1, 2; mean ± standard deviation over seeds.",
      "",
      "|  | mean reward | mode TV | energy distance | within-mode std / exact | 95 % of the energy distance | reached | ELBO | importance ESS | thousand evaluations (updates) |",
      "| --- | ---: | ---: | ---: | ---: | --- | --- | ---: | ---: | ---: |",
      "| pretrained | -3.0000 | 0.2500 | 0.5000 | 1.0000 |  |  |  |  |  |",
      "| exact target | -1.0000 | 0.2500 | 0.5000 | 1.0000 |  |  |  |  |  |",
      "| tilted sampler, effective sample size 1234 | -1.5000 | 0.2500 | 0.5000 | 1.0000 |  |  |  |  |  |",
      "| ddpo | -2.0000 ± 1.0000 | 0.2500 ± 0.0000 | 0.5000 ± 0.0000 | 1.0000 ± 0.0000 | 0.4804 to 0.5196 | yes ± | 0.0000 ± 0.0000 | 1.0000 ± 0.0000 | 34 (7) |",
      "| flow-grpo | diverged |  |  |  |  |  |  |  | 45 (7) |",
    ]);
    expect(lines[11]).toBe("| adjoint-matching | does not fit |  |  |  |  |  |  |  |  |");
    expect(lines).toContain("- flow-grpo, seed 2, diverged: a loss is NaN (seed 2)");
    expect(lines.find((line) => line.startsWith("- adjoint-matching"))).toMatch(/does not fit: .*forgets its start/);
    expect(validationDocument([result, result]).match(/^## eta$/gm)).toHaveLength(2);
  });
});

test("a budget of evaluations: each method has the updates that come nearest to it", async () => {
  const runs: PlannedRun[] = [];
  const train = async (run: PlannedRun) => {
    runs.push(run);
    return summary(-1, 500);
  };
  // 80 trajectories: form (n) takes 54 each in an update, adjoint matching 72, ddpo 60
  const methods = ["residual-nabla-db", "adjoint-matching", "ddpo"];
  const evaluations = 100 * 80 * 54;
  const [result] = await all({ worlds: [world("budget", "")], methods, evaluations, train });
  expect(runs.map(({ config }) => config.train.updates)).toEqual([100, 75, 90]);
  expect(result!.methods).toMatchObject([
    { updates: 100, evaluations },
    { updates: 75, evaluations },
    { updates: 90, evaluations },
  ]);
  const section = worldSection(result!);
  expect(section).toContain("\n432000 evaluations for each run, beta 1");
  expect(section).toMatch(/^\| adjoint-matching .* 432 \(75\) \|$/m);
  const [small] = await all({ worlds: [world("least", "")], methods: ["ddpo"], evaluations: 1, train });
  expect(small!.methods).toMatchObject([{ updates: 1, evaluations: 4800 }]);
});

test("runs without path measures, as of chains without noise, have no ELBO and no word of weights", async () => {
  const { exact, ...rest } = summary(-2, 500);
  const { elbo: _, importanceEss: __, ...measures } = { ...exact!, energyDistance: 0.9 };
  const train = async () => ({ ...rest, exact: measures });
  const [result] = await all({ worlds: [world("paths", "")], methods: ["ddpo"], train });
  const section = worldSection(result!);
  expect(section).toMatch(/^\| ddpo .*\| no \| {2}\| {2}\| \d+ \(\d+\) \|$/m);
  expect(section).toMatch(/^- ddpo: aims at .* to the tilted sampler's\.$/m);
  expect(section).not.toMatch(/NaN|undefined/);
});

test("the target is reached within 0.004 of the tilted sampler, or of 0 where that has collapsed", async () => {
  const reached = async (energyDistance: number, ess: number) => {
    const { exact, ...rest } = summary(-2, ess);
    const floor = { ...exact!.floor, energyDistance: 0.01 };
    const train = async () => ({ ...rest, exact: { ...exact!, floor, energyDistance, withinStdRatio: 0.2 } });
    const [result] = await all({ worlds: [world("reached", "")], methods: ["ddpo"], train });
    const { reached } = result!.methods[0] as MethodResult;
    const way =
      ess < leastEss
        ? "50 % of the way from the pretrained mean reward to the target's"
        : "67 % of the way from the pretrained mean reward to the tilted sampler's";
    const told = worldSection(result!).includes(
      `- ddpo: aims at the highest reward, at one point; ${way}; modes collapsed to 0.20 of their width; weights would mend it (sample --resample) with 100 % effective samples.`,
    );
    expect(told).toBe(!reached);
    return reached;
  };
  expect(await reached(0.0139, leastEss)).toBe(true);
  expect(await reached(0.0141, leastEss)).toBe(false);
  expect(await reached(0.0139, 1)).toBe(false);
  expect(await reached(0.0039, 1)).toBe(true);
});

test("a mean further from the bound than its error is reached or not without a ±", async () => {
  const cell = async (energyDistance: number) => {
    const { exact, ...rest } = summary(-2, 500);
    const floor = { ...exact!.floor, energyDistance: 0.01 };
    const train = async () => ({ ...rest, exact: { ...exact!, floor, energyDistance, energyDistanceError: 0.001 } });
    const [result] = await all({ worlds: [world("errors", "")], methods: ["ddpo"], train });
    return worldSection(result!).match(/^\| ddpo .* to [\d.]+ \| ([^|]+) \|/m)![1];
  };
  expect(await cell(0.0119)).toBe("yes");
  expect(await cell(0.0125)).toBe("yes ±");
  expect(await cell(0.0155)).toBe("no ±");
  expect(await cell(0.0161)).toBe("no");
});

test("methods that aim at exp(β r) are told beside that law, and do not fit a reward for which it is none", async () => {
  const { exact, ...rest } = summary(-1.1, 500);
  const rewardAlone = { meanReward: -1, energyDistance: 0.0312, energyDistanceError: 0.001 };
  const train = async () => ({ ...rest, exact: { ...exact!, energyDistance: 0.9, rewardAlone } });
  const [result] = await all({ worlds: [world("alone", "")], methods: ["nabla-db"], train });
  expect(worldSection(result!)).toContain(
    "- nabla-db: aims at exp(beta · r), whatever the prior is: mean reward -1.10 where that has -1.00, energy distance to it 0.0312.",
  );
  const linear = packagePath("configs/worlds/linear.yaml");
  const [refused] = await all({ worlds: [linear], methods: ["dag-db"], train: never });
  expect(worldSection(refused!)).toContain("which has no finite integral for a linear reward");
});

test("a method takes the beta of the world; one without is measured against the world's target all the same", async () => {
  const options = { seeds: [0], out: join(folder, "beta-4"), updates: 7 };
  const path = world("beta-4", "", ["beta: 1", "beta: 4"]);
  const [planned] = await planValidation({ worlds: [path], methods: plainMethods(["ddpo", "nabla-db"]), ...options });
  const [ddpo, nablaDb] = planned!.methods.map(({ runs }) => runs[0]!.config);
  expect(ddpo!.objective).not.toHaveProperty("beta");
  expect(targetLaw(ddpo!)).toEqual({ beta: 4, priorStrength: 1 });
  expect(nablaDb!.evaluate).not.toHaveProperty("beta");
  expect(nablaDb!.objective).toMatchObject({ beta: 4 });
  expect(targetLaw(nablaDb!)).toEqual({ beta: 4, priorStrength: 1 });
  expect(planned!.beta).toBe(4);
});

test("a file of variants sets objective, training and sampler, and keeps the world's beta", async () => {
  const file = join(folder, "methods-file.yaml");
  writeFileSync(
    file,
    `methods:
  lambda-0.8: { objective: { kind: residual-nabla-db, lambda: 0.8 } }
  twice: { objective: { kind: adjoint-matching }, train: { updates: 14 }, sampler: { steps: 10 } }
`,
  );
  const runs: PlannedRun[] = [];
  const train = async (run: PlannedRun) => {
    runs.push(run);
    return summary(-1, 500);
  };
  const options = { seeds: [0], out: join(folder, "variants"), updates: 7, train };
  const path = world("variants", "", ["beta: 1", "beta: 2"]);
  const validation = validate({ worlds: [path], methods: await readMethods(file), ...options });
  for await (const { methods } of validation) expect(methods.map((m) => m.method)).toEqual(["lambda-0.8", "twice"]);
  expect(runs.map(({ config }) => config.objective)).toMatchObject([
    { kind: "residual-nabla-db", lambda: 0.8, beta: 2 },
    { kind: "adjoint-matching", beta: 2 },
  ]);
  expect(runs.map(({ config }) => [config.train.updates, config.sampler.steps])).toEqual([
    [7, 20],
    [14, 10],
  ]);
});

test.each([
  ["td", ["plane", "plane-beta8", "dim64-apart", "flow-plane"]],
  ["td-memory", ["flow-plane-a07"]],
  ["td-lengths", ["plane"]],
])("every method of configs/studies/%s.yaml fits the worlds %j", async (study, names) => {
  const worlds = names.map((name) => `configs/studies/worlds/${name}.yaml`);
  const methods = await readMethods(`configs/studies/${study}.yaml`);
  const out = join(folder, "studies");
  for (const { methods: rows } of await planValidation({ worlds, methods, seeds: [0], evaluations: 1e6, out })) {
    for (const row of rows) expect(row).not.toHaveProperty("refused");
  }
});

test.each([
  ["a: 1", /methods/],
  ["methods: { ../out: { objective: { kind: ddpo } } }", /a name is a folder too/],
  ["methods: { a: { objective: { kind: ddpo }, evaluate: { seed: 1 } } }", /evaluate.*seed/],
])("a file of variants is refused: %s", async (text, message) => {
  const file = join(folder, "bad.yaml");
  writeFileSync(file, text);
  await expect(readMethods(file)).rejects.toThrow(message);
});

describe("the tilted sampler", () => {
  const tilted = async (ess: number, prompts?: ExactSummary["prompts"]) => {
    const train = async () => summary(-1, ess, prompts);
    const [result] = await all({ worlds: [world("tilt", "")], train });
    return { row: worldSection(result!).match(/^\| tilted sampler.*$/m)![0], ...result!.references!.tilted };
  };

  test("with too few effective samples is marked, without numbers", async () => {
    const { row, collapsed } = await tilted(leastEss - 0.5);
    expect(collapsed).toBe(true);
    expect(row).toMatch(/\| collapsed \|( {2}\|){8}$/);
    expect((await tilted(leastEss)).collapsed).toBe(false);
  });

  test("says when it was drawn by filters", async () => {
    const { exact, ...rest } = summary(-1, 4321);
    const floor = { ...exact!.floor, method: "twisted-smc" } as const;
    const train = async () => ({ ...rest, exact: { ...exact!, floor } });
    const [result] = await all({ worlds: [world("twisted", "")], train });
    expect(worldSection(result!)).toContain("| tilted sampler by twisted SMC, effective sample size 4321 | -1.5000 |");
    expect(result!.references!.tilted).toMatchObject({ method: "twisted-smc", collapsed: false });
  });

  test("counts by its worst prompt", async () => {
    const of = (ess: number) => summary(-1, ess).exact!;
    expect(await tilted(1000, { a: of(1995), b: of(5) })).toMatchObject({ ess: 5, collapsed: true });
  });
});

test("a seed that diverges is counted, and is not in the mean", async () => {
  const train = async ({ seed }: PlannedRun) => {
    if (seed === 1) throw new NonFiniteError("a reward is Infinity");
    return summary(-1 - seed, 500);
  };
  const [result] = await all({ worlds: [world("partly", "")], methods: ["ddpo"], seeds: [0, 1, 2], train });
  const row = result!.methods[0] as MethodResult;
  expect(row).toMatchObject({ finished: [0, 2], diverged: [{ seed: 1, reason: "a reward is Infinity" }] });
  expect(row.measures!.meanReward).toEqual({ mean: -2, std: Math.SQRT2 }); // of −1 and −3
  expect(worldSection(result!)).toContain("| ddpo (1 of 3 diverged) | -2.0000 ± 1.4142 |");
});

test("a run that diverged is not made again", async () => {
  const path = world("blows-up", "");
  const run = join(folder, "out", "blows-up", "ddpo", "seed-0");
  const options = { worlds: [path], methods: ["ddpo"] };
  const train = async ({ path: own, config }: PlannedRun) => {
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, "config.json"), JSON.stringify(config));
    throw new NonFiniteError("a reward is NaN");
  };
  const first = await all({ ...options, train });
  expect(existsSync(join(run, "diverged.json"))).toBe(true);
  expect(await all({ ...options, train: never })).toEqual(first);
  writeFileSync(join(run, "diverged.json"), "{}");
  await expect(all({ ...options, train: never })).rejects.toThrow(/diverged/);
});

test("one seed has no spread; numbers of a run that blows up stay short", async () => {
  const [result] = await all({ worlds: [world("single", "")], train: async () => summary(-1.25e11, 500) });
  expect(worldSection(result!)).toContain("| ddpo | -1.25e+11 | 0.2500 | 0.5000 | 1.0000 |");
  expect(worldSection(result!)).toContain("seed 0.\n");
});

test("groups that trajectories do not fill are a reason, not an error", async () => {
  const path = world("groups", "", ["updates: 800", "updates: 800, trajectories: 81"]);
  const [result] = await all({ worlds: [path], methods: ["flow-grpo"], train: never });
  expect(result!.methods[0]).toMatchObject({ refused: expect.stringContaining("groups of 8") });
  expect(result).not.toHaveProperty("references");
});

describe("refused before the first run", () => {
  test.each<[string, () => Some, RegExp]>([
    ["an unknown method", () => ({ methods: ["dppo"] }), /did you mean "ddpo"/],
    ["two worlds of one name", () => ({ worlds: [world("same", ""), world("same", "")] }), /two are called "same"/],
    [
      "a reward without a closed form",
      () => ({ worlds: [world("open", "", [/reward: (\{.*\})/, "reward: [$1, { kind: linear, k: [1, 0] }]"])] }),
      /known exactly/,
    ],
    [
      "a folder that holds another run",
      () => {
        const out = join(folder, "other");
        const run = join(out, "ring8", "ddpo", "seed-0");
        mkdirSync(run, { recursive: true });
        writeFileSync(join(run, "config.json"), "{}");
        return { out };
      },
      /seed-0 these keys differ: .*train/,
    ],
  ])("%s", async (_, options, message) => {
    await expect(
      all({ worlds: [packagePath("configs/worlds/ring8.yaml")], train: never, ...options() }),
    ).rejects.toThrow(message);
  });
});

test("an error that is no divergence ends the validation", async () => {
  await expect(all({ worlds: [world("broken", "")], train: never })).rejects.toThrow("nothing is to be trained here");
});

test("two updates of two methods; a second time nothing is trained, and the result is the same", {
  timeout: 300_000, // seconds; on a busy machine minutes
}, async () => {
  const path = world("short", "", ["updates: 800", "updates: 800, threads: 1"]);
  const few = { worlds: [path], updates: 2, imagesPerPrompt: 2 };
  const places: string[] = [];
  const train: ValidateOptions["train"] = async (run, { index, count }) => {
    places.push(`${index}/${count} ${run.method}`);
    const made = await trainPlanned(run, { runtime: nodeRuntime({ threads: 1 }), clock: () => 0 });
    return made!;
  };
  const first = await all({ ...few, train });
  expect(places).toEqual(["1/2 residual-nabla-db", "2/2 ddpo"]);
  const [{ references, methods }] = first as [WorldResult];
  expect(references!.tilted.collapsed).toBe(false);
  expect(Math.abs(references!.target.modeTV)).toBeLessThan(0.05); // samples of the target against its own weights
  expect(references!.pretrained.meanReward).toBeLessThan(references!.target.meanReward - 1); // −2.2 and −0.74
  for (const row of methods as MethodResult[]) {
    // two updates go nowhere: still the pretrained model
    expect(Math.abs(row.measures!.modeTV.mean - references!.pretrained.modeTV)).toBeLessThan(0.1);
  }
  expect(existsSync(join(folder, "out", "short", "ddpo", "seed-0", "final.safetensors"))).toBe(true);
  expect(await all({ ...few, train: never })).toEqual(first);
});

test("an interrupted run goes on from its checkpoint", async () => {
  const path = world("stopped", "evaluate: { imagesPerPrompt: 2 }", ["updates: 800", "updates: 3, threads: 1"]);
  const abort = new AbortController();
  const events: string[] = [];
  const options = {
    runtime: nodeRuntime({ threads: 1 }),
    clock: () => 0,
    onEvent: ({ type, ...event }: { type: string; update?: number }) => {
      events.push(`${type} ${event.update}`);
      if (type === "step") abort.abort();
    },
  };
  const stopped = new Error("stopped");
  const validation = (signal?: AbortSignal) =>
    all({
      worlds: [path],
      methods: ["ddpo"],
      train: async (run) => {
        const made = await trainPlanned(run, { ...options, signal });
        if (!made) throw stopped;
        return made;
      },
    });
  await expect(validation(abort.signal)).rejects.toBe(stopped);
  expect(events).toEqual(["start 0", "step 1", "checkpoint 1"]);
  events.length = 0;
  await validation();
  expect(events.slice(0, 3)).toEqual(["resume 1", "step 2", "step 3"]);
});
