import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import fc from "fast-check";
import { afterAll, describe, expect, test, vi } from "vitest";
import { describePath } from "../src/cli/describe-path.ts";
import { addRuns } from "../src/cli/runs.ts";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { encodePng } from "../src/images/index.ts";
import { page } from "../src/report/page.ts";
import { readRun } from "../src/report/read-run.ts";
import { findCheckpoint, readCheckpoint, readEvents, writeCheckpoint } from "../src/run/index.ts";
import { parseStoredConfig, resolveConfig } from "../src/train/config.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { type JsonMutation, jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever stands in a file of a run, report, listing, inspection and continuation read it or refuse it by name. See fuzz.ts.

const short = 150;
const timeout = fuzzTimeout(short);
const folder = mkdtempSync(join(tmpdir(), "nablaflow-run-files-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const run = join(folder, "runs", "a");
mkdirSync(join(run, "samples"), { recursive: true });

const reference = { meanReward: -1, modeTV: 0.1, energyDistance: 0.2, withinStdRatio: 1 };
const exact = {
  ...reference,
  elbo: -1,
  importanceEss: 0.5,
  target: reference,
  floor: { ...reference, ess: 9 },
  pretrained: reference,
};
const measured = { reward: 1, rewardStd: 0.5, diversity: 0.4, images: 8, seeds: [1000, 1001] };
const shot = { file: "a.png", reward: 0.5 };
const events = [
  { type: "start", time: "2026-01-01T00:00:00.000Z" },
  {
    type: "step",
    time: "2026-01-01T00:00:01.000Z",
    update: 1,
    updates: 2,
    reward: 1,
    losses: { p: 2 },
    gradientNorm: { p: null },
  },
  {
    type: "step",
    time: "2026-01-01T00:00:02.000Z",
    update: 2,
    updates: 2,
    reward: 2,
    losses: { p: 1 },
    gradientNorm: { p: 3 },
  },
  { type: "evaluation", time: "2026-01-01T00:00:03.000Z", update: 2, reward: 2, diversity: 0.5 },
];
const model = { kind: "gaussian-mixture", means: [[-1], [1]], stds: 0.3 };
const config = resolveConfig({
  file: { model, reward: { kind: "linear", k: [1] }, train: { updates: 2 } },
  source: "test",
});

const { path: checkpoint } = await writeCheckpoint(run, {
  step: 2,
  eventsBytes: 10,
  sections: { policy: { w: { shape: [2], data: Float32Array.of(1, 2) } } },
  state: { optimizerSteps: { policy: 2 } },
});
const state = readFileSync(join(checkpoint, "state.json"), "utf8");
const json = {
  "config.json": JSON.stringify(config),
  "summary.json": JSON.stringify({ before: measured, after: { ...measured, priorDistance: 0.1 }, seconds: 3, exact }),
  "samples/index.json": JSON.stringify([{ prompt: "a cat", seed: 1, before: shot, after: shot }]),
  "samples/points.json": JSON.stringify({ before: [[0], [1]].map(([x]) => [x, x]), after: [[2, 3]], target: [[1, 1]] }),
};
const lines = events.map((event) => JSON.stringify(event));
const files = { ...json, "events.jsonl": `${lines.join("\n")}\n` };
const restore = (name: keyof typeof files) => writeFileSync(join(run, name), files[name]);
for (const name of Object.keys(files) as (keyof typeof files)[]) restore(name);
writeFileSync(
  join(run, "samples", "a.png"),
  await encodePng({ width: 2, height: 2, channels: 3, data: new Uint8Array(12) }),
);

const errors = [FormatError, ConfigError];

/** What the commands do with a run: each may refuse it; gives whether none did. */
async function survives(): Promise<boolean> {
  const report = await reads(async () => expect(page(await readRun(run))).toContain("</html>"), {
    naming: run,
    errors,
  });
  const inspected = await reads(async () => JSON.stringify(await describePath(run)), { naming: run, errors });
  const listed = await reads(
    async () => {
      const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
      try {
        const program = new Command();
        addRuns({ program, signal: new AbortController().signal });
        await program.parseAsync(["runs", join(folder, "runs")], { from: "user" });
      } finally {
        write.mockRestore();
      }
    },
    { naming: run, errors },
  );
  return report && inspected && listed;
}

/** Changes one file, reads the run, and puts the file back. */
async function survivesWith(name: keyof typeof files, content: string | Uint8Array): Promise<boolean> {
  writeFileSync(join(run, name), content);
  try {
    return await survives();
  } finally {
    restore(name);
  }
}

describe("a run's files", () => {
  test("unchanged are read", async () => {
    expect(await survives()).toBe(true);
  });

  test(
    "with changed bytes",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...(Object.keys(files) as (keyof typeof files)[])), mutations),
        ([name, changes]) => survivesWith(name, changes.reduce(mutated, new TextEncoder().encode(files[name]))),
        { short, least: 0.1 },
      ),
    timeout,
  );

  test(
    "of changed structure",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...(Object.keys(json) as (keyof typeof json)[])), jsonMutations),
        ([name, changes]) => survivesWith(name, mutatedJson(files[name], changes)),
        { short, least: 0.1 },
      ),
    timeout,
  );
});

test(
  "events of changed structure are read or counted as damaged",
  () =>
    fuzz(
      fc.tuple(fc.nat(), jsonMutations),
      async ([at, changes]: [number, JsonMutation[]]) => {
        const k = at % lines.length;
        const changed = lines.map((line, other) => (other === k ? mutatedJson(line, changes) : line));
        writeFileSync(join(run, "events.jsonl"), `${changed.join("\n")}\n`);
        const { events: found, damagedLines } = await readEvents(join(run, "events.jsonl"));
        expect(found.length + damagedLines.length).toBe(lines.length);
        return reads(async () => expect(page(await readRun(run))).toContain("</html>"));
      },
      { short, least: 0.9 },
    ),
  timeout,
);

test(
  "the state of a checkpoint",
  () =>
    fuzz(
      fc.oneof(
        jsonMutations.map((changes) => mutatedJson(state, changes)),
        mutations.map((changes) => changes.reduce(mutated, new TextEncoder().encode(state))),
      ),
      (text) => {
        writeFileSync(join(checkpoint, "state.json"), text);
        return reads(
          async () => {
            const found = await findCheckpoint(run);
            if (found !== undefined) expect(found.step).toBe(2);
            const { step, sections } = await readCheckpoint(checkpoint);
            expect([Number.isSafeInteger(step), typeof sections]).toEqual([true, "object"]);
          },
          { naming: checkpoint },
        );
      },
      { short, least: 0.02 },
    ),
  timeout,
);

test(
  "a stored configuration",
  () =>
    fuzz(
      jsonMutations,
      (changes) =>
        reads(() => parseStoredConfig(JSON.parse(mutatedJson(files["config.json"], changes)), "config.json"), {
          errors: [ConfigError, FormatError, SyntaxError as never],
        }),
      { short: 2000, least: 0.05 },
    ),
  timeout,
);
