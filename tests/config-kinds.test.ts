import { expect, test } from "vitest";
import { applyOverrides, mergeConfig } from "../src/core/config.ts";
import { ConfigError } from "../src/core/errors.ts";
import * as objectives from "../src/objectives/index.ts";
import { objectiveKinds } from "../src/objectives/kinds.ts";
import { readConfig, resolveConfig } from "../src/train/config.ts";

const ring = (...set: string[]) => readConfig("configs/worlds/ring8.yaml", { set });
const folder = { model: { kind: "diffusers", path: "nowhere" }, reward: { kind: "style-score" }, prompts: ["a cat"] };

test("another kind drops the options of the kind before it, wherever it is given", async () => {
  const before = { part: { kind: "a", only: 1 }, other: 2 };
  expect(mergeConfig(before, { part: { kind: "b" } })).toEqual({ part: { kind: "b" }, other: 2 });
  expect(mergeConfig(before, { part: { kind: "a", more: 3 } })).toEqual({
    part: { kind: "a", only: 1, more: 3 },
    other: 2,
  });
  expect(applyOverrides(before, ["part.kind=b", "part.new=4"])).toEqual({ part: { kind: "b", new: 4 }, other: 2 });
  expect(applyOverrides(before, ["part.kind=a"])).toEqual(before);
  expect((await ring("objective.kind=ddpo")).objective).toEqual((await ring("objective={kind: ddpo}")).objective);
});

test("another sampler keeps the steps and guidance that the model's kind prefers, as far as it has them", () => {
  const usual = resolveConfig({ file: folder, source: "test" }).sampler as unknown as Record<string, number>;
  const ddim = resolveConfig({ file: folder, set: ["sampler.kind=ddim", "sampler.eta=1"], source: "test" }).sampler;
  expect(ddim).toEqual({ ...usual, kind: "ddim", eta: 1 });
  const flow = resolveConfig({ file: folder, set: ["sampler.kind=flow"], source: "test" }).sampler;
  expect(flow).toEqual({ kind: "flow", steps: usual.steps, guidance: usual.guidance, noise: "memoryless" });
});

test("options of model and reward are checked before anything is loaded, and their defaults recorded", async () => {
  await expect(ring("model.stds=[0.1, 0.2]")).rejects.toThrow(/model:\n.*stds/);
  expect(() => resolveConfig({ file: folder, set: ["reward.stiles=[noto]"], source: "test" })).toThrow(ConfigError);
  expect(resolveConfig({ file: folder, source: "test" }).reward).toEqual({
    kind: "style-score",
    styles: ["fluent-emoji"],
  });
});

test("every objective that a configuration can name is exported, and takes no options as well", () => {
  const exported = Object.values(objectives);
  for (const kind of objectiveKinds) {
    expect(exported, kind.kind).toContain(kind);
    expect(kind().kind).toBe(kind.kind);
  }
});
