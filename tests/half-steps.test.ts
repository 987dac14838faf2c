import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packagePath } from "../src/core/package-root.ts";
import { Rng } from "../src/core/rng.ts";
import { finishAlignedRun } from "../src/evaluate/aligned-run.ts";
import { halfStepsOfRun } from "../src/evaluate/half-steps.ts";
import { readMethods } from "../src/evaluate/methods.ts";
import { sampleComparing } from "../src/evaluate/path-ratio.ts";
import { samplePolicy } from "../src/evaluate/sample-policy.ts";
import { residualNablaDb } from "../src/objectives/index.ts";
import { openRunDirectory, type RunSummary } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { prepare } from "../src/train/prepare.ts";
import { printedJson } from "./worlds/commands.ts";
import { writeTinyModel } from "./worlds/tiny-unet.ts";
import { train } from "./worlds/training.ts";
import { apart, configOf, partsOf, plane } from "./worlds/worlds.ts";

const runtime = nodeRuntime({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), "nablaflow-half-steps-"));
afterAll(() => rmSync(folder, { recursive: true }));
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((p, q) => p + q, 0) / values.length;

/** A whole run of a few updates. */
async function runOf(name: string, ...set: string[]): Promise<{ path: string; summary: RunSummary }> {
  const path = join(folder, name);
  const config = configOf(plane, "evaluate.imagesPerPrompt=200", ...set);
  const directory = await openRunDirectory(path, config, { resume: false });
  try {
    return { path, summary: (await finishAlignedRun({ config, runtime, directory, clock: () => 0 }))! };
  } finally {
    directory.release();
  }
}

describe("a run", () => {
  let path: string;
  let whole: RunSummary;
  beforeAll(async () => {
    ({ path, summary: whole } = await runOf("plane"));
  }, 60_000);
  const sample = async (out: string, ...flags: string[]) => {
    const target = join(folder, out);
    await printedJson(["sample", path, "--count", "300", "--out", target, ...flags]);
    return (JSON.parse(readFileSync(join(target, "points.json"), "utf8")) as Record<string, number[][]>)[""]!.flat();
  };

  test("is sampled in half steps by its flow network, also with weights", async () => {
    const plain = await sample("whole");
    const half = await sample("half", "--half-steps");
    expect(half).toHaveLength(plain.length);
    expect(half).not.toEqual(plain);
    expect(await sample("half-again", "--half-steps")).toEqual(half);
    expect(await sample("resampled", "--half-steps", "--resample", "--candidates", "2")).toHaveLength(600);
  });

  test("is measured so by evaluate --half-steps and by evaluate.halfSteps, to the same numbers; the pretrained model is not", async () => {
    const { summary } = await runOf("measured", "evaluate.halfSteps=true");
    const { exact } = summary;
    const { metrics } = await printedJson(["evaluate", path, "--half-steps"]);
    expect(exact!.elbo).not.toBe(whole.exact!.elbo);
    expect(exact!.pretrained).toEqual(whole.exact!.pretrained);
    for (const key of ["elbo", "modeTV", "meanReward"] as const) expect(metrics[key].value).toBe(exact![key]);
    expect(metrics.reward.value).toBe(summary.after.reward);
  });

  test("is refused without what half steps need, with a way out", async () => {
    const never = (...args: string[]) =>
      printedJson(["sample", ...args, "--half-steps", "--out", join(folder, "never")]);
    await expect(never(path, "--reward", "jpeg-size")).rejects.toThrow(/--reward jpeg-size came. Leave out/);
    await expect(never("assets/models/animals-32")).rejects.toThrow(/is a pretrained model. Give a run directory/);
    const noFlow = join(folder, "no-flow");
    await train(configOf(plane, "objective.reverseWeight=0"), { path: noFlow });
    await expect(never(noFlow)).rejects.toThrow(/which a flow network learns, but residual-nabla-db/);
    renameSync(join(path, "checkpoints"), join(path, "away"));
    await expect(never(path)).rejects.toThrow(/checkpoints has none that is whole/);
    renameSync(join(path, "away"), join(path, "checkpoints"));
    expect(existsSync(join(folder, "never"))).toBe(false);
  });

  test("of a chain without noise and of a reward without a gradient it is refused", async () => {
    const halfSteps = await halfStepsOfRun(path, configOf(plane));
    const request = { prompts: [""], seed: 0, purpose: "sampling", block: 1, halfSteps } as const;
    const parts = await partsOf(plane);
    const policy = parts.adaptation.init(new Rng(0));
    const onHost = { ...parts, reward: { kind: "judge", differentiable: false, score: async () => [] } } as never;
    await expect(samplePolicy(runtime, onHost, policy, request)).rejects.toThrow(/"judge" runs on the host/);
    const still = { ...parts, chain: { ...parts.chain, stochastic: false } };
    await expect(samplePolicy(runtime, still, policy, request)).rejects.toThrow(/a step without/);
  });
});

test("a configuration with half steps needs an objective with a flow network", () => {
  expect(() => configOf(plane, "evaluate.halfSteps=true", "objective.kind=ddpo")).toThrow(
    /evaluate.halfSteps: .* ddpo with these options has none. Sample in whole steps/,
  );
  expect(() => configOf(plane, "evaluate.halfSteps=true", "objective.priorStrength=0.5")).toThrow(/priorStrength 1/);
  expect(configOf(plane)).not.toHaveProperty("evaluate.halfSteps");
});

test("a variant of a validation says how it is measured, and nothing else of it", async () => {
  const [baseline, half] = await readMethods("configs/studies/under-tilt.yaml");
  expect(baseline!.set).not.toHaveProperty("evaluate");
  expect(half).toMatchObject({ name: "half-steps", set: { evaluate: { halfSteps: true } } });
  const file = join(folder, "methods.yaml");
  writeFileSync(file, "methods: { a: { objective: { kind: ddpo }, evaluate: { seed: 3 } } }");
  await expect(readMethods(file)).rejects.toThrow(/seed/);
});

test("each row follows the reward of its own prompt", async () => {
  const parts = await partsOf(apart);
  const { model, adaptation, prompts } = parts;
  const rng = new Rng(0);
  const halfSteps = { objective: residualNablaDb({ beta: 1, attenuation: "none" }), flow: model.flow.init(rng) };
  const n = 4000;
  const each = Array.from({ length: 2 * n }, (_, k) => prompts[k % 2]!);
  const request = { prompts: each, seed: 0, purpose: "sampling", block: 1500, halfSteps } as const;
  const { states } = await samplePolicy(runtime, parts, adaptation.init(rng), request);
  const ends = (prompt: number) => states.at(-1)!.filter((_, k) => k % 2 === prompt);
  // only the second halves move an untrained policy: by (σ²/2) √ᾱ_{i+1}, of which √(ᾱ_{i+1}/ᾱ_T) arrives at the end
  const { steps, levels, T } = parts.chain;
  const share = steps
    .slice(0, -1)
    .reduce(
      (sum, { i, sigma }) => sum + (sigma ** 2 * levels[i + 1]!.alphaBar) / (2 * Math.sqrt(levels[T]!.alphaBar)),
      0,
    );
  expect(share).toBeGreaterThan(0.1);
  expect(Math.abs(mean(ends(0)) - share)).toBeLessThan(4 / Math.sqrt(n));
  expect(Math.abs(mean(ends(1)) + share)).toBeLessThan(4 / Math.sqrt(n));
});

test("pictures: with no reward to follow, half steps of an untrained policy are steps of the pretrained one", async () => {
  const bundled = packagePath("assets/models/animals-32");
  await writeTinyModel(join(folder, "tiny"), bundled);
  const config = configOf(
    {
      model: { kind: "diffusers", path: join(folder, "tiny") },
      reward: { kind: "style-score" },
      objective: { kind: "residual-nabla-db", beta: 0 },
    },
    "sampler.steps=3",
    "sampler.grid=trailing",
    "sampler.guidance=2",
    "prompts=[a cat, an ant]",
    "train={updates: 1, trajectories: 2}",
  );
  const parts = await prepare(config);
  const rng = new Rng(0);
  const policy = parts.adaptation.init(rng);
  const flow = parts.model.flow.init(rng);
  const paths = async (beta: number) => {
    const halfSteps = { objective: residualNablaDb({ beta }), flow };
    const request = {
      prompts: ["a cat", "an ant", "a cat"],
      seed: 1,
      purpose: "sampling",
      block: 2,
      halfSteps,
    } as const;
    return (await sampleComparing(runtime, parts, policy, request)).paths;
  };
  const none = await paths(0);
  expect(Math.max(...none.logRatio.map(Math.abs), ...none.kl)).toBeLessThan(1e-2); // rounding, over σ of the last steps
  expect(Math.min(...(await paths(1e3)).kl)).toBeGreaterThan(1e-2);
}, 60_000);
