import { beforeAll, describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { evaluateModel } from "../src/evaluate/evaluate-model.ts";
import type { OpenedModel } from "../src/evaluate/open-model.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { resolveConfig } from "../src/train/config.ts";
import { prepare } from "../src/train/prepare.ts";

const runtime = nodeRuntime({ threads: 1 });
const againstPrior = ["priorDistance", "frechetDistance", "precision", "recall", "coverage"];

describe("the evaluation of a run", () => {
  let opened: OpenedModel & { policy: NonNullable<OpenedModel["policy"]> };
  beforeAll(async () => {
    const file = {
      model: {
        kind: "gaussian-mixture",
        means: [
          [-2, 0],
          [2, 0],
        ],
        stds: 0.3,
      },
      // two rewards have no closed form together, so that nothing exact is measured
      reward: [
        { kind: "linear", k: [1, 0] },
        { kind: "linear", k: [0, 1] },
      ],
      sampler: { kind: "ddpm", steps: 4 },
    };
    const config = resolveConfig({ file, source: "test" });
    const parts = await prepare(config);
    opened = { config, parts, policy: parts.adaptation.init(new Rng(0)) };
  });
  const evaluated = (imagesPerPrompt: number, changed: Partial<OpenedModel> = {}) =>
    evaluateModel(runtime, { ...opened, ...changed }, { imagesPerPrompt, seed: 3 });

  test("that has learned nothing is exactly at the floor, which is not that of a set with itself", async () => {
    const { metrics } = await evaluated(60);
    for (const name of againstPrior) {
      expect(metrics[name], name).toMatchObject({ n: 60, value: metrics[name]!.floor });
    }
    expect(metrics.frechetDistance!.value).toBeGreaterThan(1e-3);
    expect(metrics.coverage!.value).toBeGreaterThan(0.6);
    expect(metrics.coverage!.value).toBeLessThan(1);
    expect(metrics.vendi).toMatchObject({ n: 60 });
    expect(metrics.vendi!.value).toBeGreaterThan(1);
    expect(metrics.vendi!.value).toBeLessThanOrEqual(2);
  });

  test("that has left its pretrained model is far from it, with the same floor", async () => {
    const names = Object.keys(opened.policy).filter((name) => name.endsWith(".bias"));
    const last = names.sort().at(-1)!;
    const { shape, data } = opened.policy[last]!;
    const policy = { ...opened.policy, [last]: { shape, data: Float32Array.from(data, () => 3) } };
    const [here, there] = await Promise.all([evaluated(60), evaluated(60, { policy })]);
    for (const name of againstPrior) expect(there.metrics[name]!.floor, name).toBe(here.metrics[name]!.value);
    expect(there.metrics.frechetDistance!.value).toBeGreaterThan(10 * there.metrics.frechetDistance!.floor!);
    for (const name of ["precision", "recall", "coverage"]) expect(there.metrics[name]!.value, name).toBeLessThan(0.2);
  });

  test("leaves out neighbours where there are too few, and for a model alone what compares with its origin", async () => {
    expect(Object.keys((await evaluated(3)).metrics)).not.toContain("precision");
    expect((await evaluated(3)).metrics.frechetDistance!.floor).toBeGreaterThan(0);
    const { metrics } = await evaluated(8, { policy: undefined });
    expect(metrics.vendi!.value).toBeGreaterThan(1);
    for (const name of againstPrior) expect(metrics).not.toHaveProperty(name);
  });
});
