import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { summaryTable } from "../src/cli/summary-table.ts";
import { type ExactSummary, type RunSummary, readSummary, writeSummary } from "../src/run/index.ts";

const reference = { meanReward: -1, modeTV: 0.25, energyDistance: 0.5, withinStdRatio: 1 };

function summary(floor: Partial<ExactSummary["floor"]>, prompts?: ExactSummary["prompts"]): RunSummary {
  const model = { reward: 0, rewardStd: 0, diversity: 0, images: 0, seeds: [] };
  const exact: ExactSummary = {
    ...reference,
    elbo: 0,
    importanceEss: 1,
    pretrained: reference,
    target: reference,
    floor: { ...reference, energyDistance: 0.0123, ess: 4000, ...floor },
    ...(prompts && { prompts }),
  };
  return { before: model, after: model, seconds: 1, exact };
}

describe("the tilted sampler in the table of a run", () => {
  test("is named by how it was drawn", () => {
    const plain = summaryTable(summary({}));
    expect(plain).toContain("; tilted sampler: effective sample size 4000\n");
    expect(plain).toContain("0.0123");
    expect(summaryTable(summary({ method: "importance" }))).toBe(plain);
    expect(summaryTable(summary({ method: "twisted-smc" }))).toContain(
      "; tilted sampler by twisted SMC: effective sample size 4000\n",
    );
  });

  test("has no numbers where it has collapsed, for one prompt or all", () => {
    const some = { a: summary({}).exact!, b: summary({ ess: 7 }).exact! };
    for (const table of [summaryTable(summary({ ess: 7 })), summaryTable(summary({ ess: 2003 }, some))]) {
      expect(table).toContain("effective sample size 7, collapsed");
      expect(table).not.toContain("0.0123");
    }
  });
});

/** As of a chain with a step without noise. */
function withoutPaths(): RunSummary {
  const { exact, ...rest } = summary({});
  const { elbo: _, importanceEss: __, ...measures } = exact!;
  return { ...rest, exact: measures };
}

test("without path measures a table has no ELBO, and the distances all the same", () => {
  const table = summaryTable(withoutPaths());
  expect(table).not.toMatch(/ELBO|importance ESS|undefined|NaN/);
  expect(table).toContain("tilted sampler: effective sample size 4000");
  expect(table).toContain("0.0123");
});

describe("summary.json", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "nablaflow-summary-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("keeps what the tilted sampler was drawn by, and may lack it and path measures", async () => {
    for (const written of [summary({ method: "twisted-smc" }), summary({}), withoutPaths()]) {
      await writeSummary(folder, written);
      expect(await readSummary(folder)).toEqual(written);
    }
  });

  test("is refused with another word there", async () => {
    await writeSummary(folder, summary({ method: "guess" as "importance" }));
    await expect(readSummary(folder)).rejects.toThrow(/method/);
  });
});
