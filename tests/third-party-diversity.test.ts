import { describe, expect, test } from "vitest";
import { summaryTable } from "../src/cli/summary-table.ts";
import { evaluateModel } from "../src/evaluate/evaluate-model.ts";
import { pointJudges } from "../src/evaluate/judges.ts";
import { measureModel } from "../src/evaluate/measure.ts";
import { bundledModel, openModel } from "../src/evaluate/open-model.ts";
import { diversity } from "../src/metrics/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { resolveConfig } from "../src/train/config.ts";
import { prepare } from "../src/train/prepare.ts";

const runtime = nodeRuntime({ threads: 1 });

describe("diversity with a third-party feature", () => {
  test("is the diversity of those features, beside the other, and absent where judges have none", async () => {
    const file = {
      model: { kind: "gaussian-mixture", means: [[1, 0]], stds: 0.2 },
      reward: { kind: "linear", k: [1, 0] },
    };
    const parts = await prepare(resolveConfig({ file, source: "test" }));
    const judges = pointJudges(parts.model);
    const reversed = async (points: Float32Array) => ({ data: points.map((x, i) => (i % 2 ? x : 1)), size: 2 });
    const options = { imagesPerPrompt: 30, seed: 3, block: 30 };
    const { images, prompts, summary } = await measureModel(runtime, parts, undefined, {
      ...options,
      judges: { ...judges, thirdPartyFeatures: reversed },
    });
    expect(summary.diversity).toBe(diversity({ data: images, size: 2, prompts }).value);
    expect(summary.diversityThirdParty).toBe(diversity({ ...(await reversed(images)), prompts }).value);
    expect(summary.diversityThirdParty).not.toBe(summary.diversity);
    const plain = await measureModel(runtime, parts, undefined, { ...options, judges });
    expect(plain.summary).not.toHaveProperty("diversityThirdParty");
  });

  test("is evaluated for pictures", async () => {
    const opened = await openModel(bundledModel, { prompts: ["a cat", "a dog"], steps: 2 });
    const config = { ...opened.config, train: { ...opened.config.train, block: 4 } };
    const { metrics } = await evaluateModel(runtime, { ...opened, config }, { imagesPerPrompt: 2, seed: 1 });
    const { value, std, n } = metrics.diversityThirdParty!;
    expect(n).toBe(4);
    expect(value).toBeGreaterThan(0);
    expect(value).toBeLessThan(2);
    expect(std).toBeGreaterThan(0);
    expect(value).not.toBe(metrics.diversity!.value);
  });

  test("is a row of the table after a run only where it was measured", () => {
    const before = { reward: 1, rewardStd: 1, diversity: 0.5, images: 4, seeds: [1] };
    const table = (thirdParty: object) =>
      summaryTable({ before: { ...before, ...thirdParty }, after: { ...before, ...thirdParty }, seconds: 1 });
    expect(table({ diversityThirdParty: 0.25 })).toMatch(
      /^diversity, third-party feature \(MobileNetV2\) +0\.2500 +0\.2500$/m,
    );
    expect(table({})).not.toContain("third-party");
  });
});
