import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { openModel } from "../src/evaluate/open-model.ts";
import { energyDistance } from "../src/metrics/index.ts";
import { sampleMixture } from "../src/models/mixture.ts";
import { printedJson } from "./worlds/commands.ts";
import { writeUntrainedRun } from "./worlds/untrained-run.ts";
import { configOf, plane } from "./worlds/worlds.ts";

const folder = mkdtempSync(join(tmpdir(), "nablaflow-ode-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A run on the plane, untrained. */
async function untrained(name: string, ...set: string[]): Promise<string> {
  const path = join(folder, name);
  await writeUntrainedRun(path, configOf(plane, "train.block=100", ...set));
  return path;
}

describe.each([
  ["flow", "flow", ["model.prediction=velocity", "sampler={kind: flow, steps: 60}"], { kind: "flow", noise: 0 }],
  ["ddpm", "ddim", ["sampler={kind: ddpm, steps: 60}"], { kind: "ddim", eta: 0 }],
  [
    "sde-dpm-solver++",
    "ddim",
    ["sampler={kind: sde-dpm-solver++, steps: 60, grid: linspace}"],
    { kind: "ddim", grid: "linspace" },
  ],
] as const)("a run of %s drawn by its ODE", (name, kind, set, sampler) => {
  test(`is one of ${kind} on the same levels without noise, and still draws the pretrained law`, async () => {
    const path = await untrained(name, ...set);
    const [noisy, { parts, config }] = [await openModel(path), await openModel(path, { ode: true })];
    expect(noisy.parts.chain.steps.every(({ sigma }) => sigma > 0)).toBe(true);
    expect(config.sampler).toMatchObject(sampler);
    expect(parts.chain.steps.every(({ sigma }) => sigma === 0)).toBe(true);
    expect(parts.chain.levels.map(({ t }) => t)).toEqual(noisy.parts.chain.levels.map(({ t }) => t));

    const out = join(path, "ode");
    await printedJson(["sample", path, "--ode", "--count", "1500", "--out", out]);
    const points = (JSON.parse(readFileSync(join(out, "points.json"), "utf8")) as Record<string, number[][]>)[""]!;
    const exact = sampleMixture(parts.model.prior![""]!, 1500, new Rng(5), { purpose: "test" });
    expect(energyDistance(points.flat(), exact, 2).value).toBeLessThan(0.01);
  });
});

test("evaluate measures it beside the exact target, without measures of paths", async () => {
  const path = await untrained("evaluated", "model.prediction=velocity", "sampler={kind: flow, steps: 20}");
  const measured = ["evaluate", path, "--images-per-prompt", "100"];
  const [noisy, ode] = [await printedJson(measured), await printedJson([...measured, "--ode"])];
  expect(Object.keys(noisy.metrics)).toContain("pathKl");
  expect(Object.keys(ode.metrics)).not.toContain("pathKl");
  expect(ode.metrics.energyDistance.value).not.toBe(noisy.metrics.energyDistance.value);
  expect(ode.metrics.energyDistance.target).toBe(noisy.metrics.energyDistance.target);
  expect(ode.metrics.reward).toMatchObject({ n: 100, error: ode.metrics.reward.std / 10 });
}, 60_000);

test.each([
  ["--resample", /noise/],
  ["--half-steps", /noise|flow network/],
])("%s needs noise and is refused", async (flag, message) => {
  const path = await untrained(`refused${flag}`);
  const args = ["sample", path, "--ode", flag, "--out", join(path, "out")];
  await expect(printedJson(args)).rejects.toThrow(message);
});
