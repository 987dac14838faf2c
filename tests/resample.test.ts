import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { addSample } from "../src/cli/sample.ts";
import { Rng } from "../src/core/rng.ts";
import { sampleComparing } from "../src/evaluate/path-ratio.ts";
import { measuredBeta, pathMeasures } from "../src/evaluate/path-summary.ts";
import { resampleByPrompt } from "../src/evaluate/resample.ts";
import { energyDistance, pathKl } from "../src/metrics/index.ts";
import { exactTarget } from "../src/models/exact-target.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { type RunConfig, readConfig } from "../src/train/config.ts";
import { prepare, rewardsByPrompt } from "../src/train/prepare.ts";
import { tabular } from "./worlds/tabular.ts";
import { writeUntrainedRun } from "./worlds/untrained-run.ts";
import { configOf, normal, partsOf } from "./worlds/worlds.ts";

const runtime = nodeRuntime({ threads: 1 });

describe("on N(0, I) with r = k·x, where the best chain is known", () => {
  const n = 400;
  const prompts = new Array<string>(n).fill("");
  const [beta, k] = [1.5, [0.5, -1.25]];

  test("its path KL and its ELBO are |βk|²/2 · Σ σ_i² ᾱ_{i+1}/ᾱ_T, and all samples count alike", async () => {
    const parts = tabular(await partsOf(normal));
    const { steps, levels, T } = parts.chain;
    const share = (i: number) => levels[i]!.alphaBar / levels[T]!.alphaBar;
    // Δ_i = h_{i+1} = βk √(ᾱ_{i+1}/ᾱ_T), and μ_θ − μ_# = d₂ (out_θ − out_#) = σ² Δ
    const rows = steps.map(({ i, sigma, d2 }) =>
      k.map((kd) => (sigma ** 2 * beta * kd * Math.sqrt(share(i + 1))) / d2),
    );
    const request = { prompts, seed: 3, purpose: "evaluation", block: 100 } as const;
    const policy = { table: { shape: [rows.length, 2], data: Float32Array.from(rows.flat()) } };
    const { states, paths } = await sampleComparing(runtime, parts, policy, request);
    const rewards = prompts.map((_, j) => k[0]! * states.at(-1)![2 * j]! + k[1]! * states.at(-1)![2 * j + 1]!);
    const measures = pathMeasures(rewards, prompts, paths, beta);
    const known =
      (beta ** 2 *
        (k[0]! ** 2 + k[1]! ** 2) *
        steps.reduce((sum, { i, sigma }) => sum + sigma ** 2 * share(i + 1), 0)) /
      2;
    expect(Math.abs(measures.pathKl / known - 1)).toBeLessThan(1e-4); // the means are the same in every state
    expect(Math.abs(measures.elbo / known - 1)).toBeLessThan(2e-3); // x_0 is not wholly forgotten
    expect(measures.importanceEss).toBeGreaterThan(0.999);
    // the ratio of paths is on average their KL divergence
    const deviation = Math.sqrt(2 * known); // of log π_θ/π_# along a path, as its steps are Gaussian
    expect(Math.abs(pathKl(paths.logRatio).value - known)).toBeLessThan((3 * deviation) / Math.sqrt(n));
  });

  test("an untrained policy and the pretrained model have none", async () => {
    const parts = await partsOf(normal);
    for (const policy of [undefined, parts.adaptation.init(new Rng(1))]) {
      const request = { prompts, seed: 3, purpose: "evaluation", block: 150 } as const;
      const { paths } = await sampleComparing(runtime, parts, policy, request);
      expect([...paths.kl, ...paths.logRatio].every((value) => value === 0)).toBe(true);
    }
  });

  test("another prior strength has no weights", () => {
    expect(measuredBeta(configOf(normal))).toBe(1.5);
    expect(measuredBeta(configOf(normal, "objective.kind=ddpo"))).toBe(1);
    expect(measuredBeta(configOf(normal, "objective.priorStrength=0.5"))).toBeUndefined();
  });
});

test("candidates are drawn by their weights within their prompt", () => {
  const prompts = ["a", "b", "a", "b", "a", "b"];
  const logWeights = [0, 5, Math.log(3), 5, -Infinity, 5];
  const [a, b] = resampleByPrompt(logWeights, prompts, 400, new Rng(1));
  const count = (indices: readonly number[], k: number) => indices.filter((index) => index === k).length;
  expect([0, 2, 4].map((k) => count(a!.indices, k))).toEqual([100, 300, 0]);
  expect(a).toMatchObject({ prompt: "a", candidates: 3 });
  expect(a!.ess).toBeCloseTo(16 / 10, 10);
  expect(b!.ess).toBeCloseTo(3, 10);
  expect([1, 3, 5].every((k) => Math.abs(count(b!.indices, k) - 400 / 3) < 1)).toBe(true);
});

describe("nabla sample --resample on ring8", () => {
  let folder: string;
  let config: RunConfig;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "nablaflow-resample-"));
    config = await readConfig("configs/worlds/ring8.yaml", { set: ["train.threads=1"] });
    await writeUntrainedRun(folder, config);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** What the command prints and the points it writes. */
  async function sample(out: string, ...flags: string[]) {
    const program = new Command().exitOverride();
    addSample({ program, signal: new AbortController().signal });
    const printed: string[] = [];
    const told: string[] = [];
    const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text)) > 0);
    const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => told.push(String(text)) > 0);
    try {
      await program.parseAsync(["sample", folder, "--out", join(folder, out), "--json", ...flags], { from: "user" });
    } finally {
      stdout.mockRestore();
      stderr.mockRestore();
    }
    const points = JSON.parse(readFileSync(join(folder, out, "points.json"), "utf8")) as Record<string, number[][]>;
    return { ...JSON.parse(printed.join("")), told: told.join(""), points: points[""]!.flat() };
  }

  test("brings samples of an untrained run to the exact target, and says how many they are worth", async () => {
    const reward = (await rewardsByPrompt(config))[""]!;
    const { model } = await prepare(config);
    const target = exactTarget(model.prior![""]!, reward, 1, 3000, new Rng(0), { purpose: "test" }).samples;
    const plain = await sample("plain", "--count", "500");
    const resampled = await sample("resampled", "--count", "500", "--candidates", "6", "--resample");
    expect(plain).not.toHaveProperty("resampled");
    expect(resampled.points).toHaveLength(1000);
    const [{ ess, candidates }] = resampled.resampled;
    expect(candidates).toBe(3000);
    expect(ess / candidates).toBeGreaterThan(0.2); // as in tests/ring-reference.test.ts
    expect(ess / candidates).toBeLessThan(0.5);
    expect(resampled.told).toContain(`effective sample size ${ess.toFixed(1)} of 3000 candidates`);
    const distance = (points: number[]) => energyDistance(points, target, 2).value;
    expect(distance(plain.points)).toBeGreaterThan(0.5);
    expect(distance(resampled.points)).toBeLessThan(0.03);
  });

  test.each([
    [["--resample", "--steps", "1500"], /fewer sampler.steps/],
    [["--resample", "--candidates", "1"], /at least 2/],
  ])("%j is refused", async (flags, message) => {
    await expect(sample("never", ...flags)).rejects.toThrow(message);
  });

  test("a chain without noise has no weights", async () => {
    const path = join(folder, "config.json");
    writeFileSync(path, JSON.stringify({ ...config, sampler: { kind: "ddim", steps: 5, eta: 0 } }));
    await expect(sample("never", "--resample")).rejects.toThrow(/step without/);
    writeFileSync(path, JSON.stringify(config));
  });
});
