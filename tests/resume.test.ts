import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { ConfigData } from "../src/core/config.ts";
import { Rng } from "../src/core/rng.ts";
import { findCheckpoint, openRunDirectory, readCheckpoint, readEvents } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { constant, input } from "../src/tensor/index.ts";
import { type NetworkTask, trainNetwork } from "../src/train/network-loop.ts";
import { startTraining, transpiled } from "./worlds/child.ts";
import { train, trainToFile } from "./worlds/training.ts";
import { apart, configOf, plane } from "./worlds/worlds.ts";

const scratch = mkdtempSync(join(tmpdir(), "nablaflow-resume-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const freshPath = (): string => join(scratch, `run-${folders++}`);

/** Events less what may differ: `time`, `seconds`, and names that end in Ms or Bytes. */
async function eventsOf(path: string) {
  const { events, damagedLines } = await readEvents(join(path, "events.jsonl"));
  expect(damagedLines).toEqual([]);
  return events.map((event) =>
    Object.fromEntries(Object.entries(event).filter(([key]) => !/^(time|seconds)$|(Ms|Bytes)$/.test(key))),
  );
}

async function expectSameRun(path: string, other: string): Promise<void> {
  const file = (run: string, name: string) => readFileSync(join(run, name));
  expect(file(path, "final.safetensors").equals(file(other, "final.safetensors"))).toBe(true);
  expect(await eventsOf(path)).toEqual(await eventsOf(other));
  const last = async (run: string) => {
    const { eventsBytes: _, ...content } = await readCheckpoint((await findCheckpoint(run))!.path);
    return content;
  };
  expect(await last(path)).toEqual(await last(other));
}

/** Runs that keep everything a checkpoint has to hold: flow and averaged weights, reward statistics, λ-returns … */
const cases: { name: string; file: ConfigData; set: string[] }[] = [
  { name: "residual ∇-DB as it is", file: plane, set: [] },
  {
    name: "λ-returns, averaged weights, two updates a rollout, parts of batches",
    file: plane,
    set: ["objective.lambda=0.8", "train.ema=0.9", "train.updatesPerRollout=2", "train.accumulate=2"],
  },
  { name: "learned variances", file: plane, set: ["objective.variance=learned", "train.ema=0.9"] },
  {
    name: "DDPO with statistics of two prompts, decaying rate",
    file: { ...apart, objective: { kind: "ddpo" } },
    set: ["train.trajectories=12", "train.optimizer.decayAt=0.5"],
  },
  {
    name: "kl-control with a learned law of x_0, averaged weights",
    file: {
      ...plane,
      sampler: { kind: "ddim", steps: 6, eta: 0.3 },
      objective: { kind: "kl-control", initialLaw: "learned" },
    },
    set: ["train.ema=0.9"],
  },
];

describe("a run that is stopped and goes on", () => {
  test.each(cases)("$name: is the run that was never stopped, to the bit", async ({ file, set }) => {
    const config = configOf(file, ...set);
    const whole = freshPath();
    expect(await trainToFile(config, whole)).toBe(true);
    expect((await eventsOf(whole)).filter(({ type }) => type === "step")).toHaveLength(12);

    const stopped = freshPath();
    for (const at of new Rng(2).integers(2, 6, { purpose: "test" })) {
      const abort = new AbortController();
      let updates = 0;
      const onEvent = ({ type }: { type: string }) => {
        if (type === "step" && updates++ === at) abort.abort();
      };
      expect(await trainToFile(config, stopped, { signal: abort.signal, onEvent })).toBe(false);
    }
    expect(await trainToFile(config, stopped)).toBe(true);
    await expectSameRun(stopped, whole);
  });

  test("from the last checkpoint too: updates after it are done again, the same", async () => {
    const config = configOf(plane);
    const whole = freshPath();
    await trainToFile(config, whole);
    const failed = freshPath();
    const fail = trainToFile(config, failed, {
      onEvent(event) {
        if (event.type === "step" && event.update === 8) throw new Error("power cut");
      },
    });
    await expect(fail).rejects.toThrow("power cut");
    expect((await findCheckpoint(failed))!.step).toBe(6);
    await trainToFile(config, failed);
    await expectSameRun(failed, whole);
  });

  test("forgetting a part of a checkpoint shows", async () => {
    const config = configOf(plane, "train.ema=0.9");
    const { policy } = await train(config);
    for (const forget of ["flow", "optimizer", "ema", "policy"]) {
      const path = freshPath();
      const abort = new AbortController();
      const stop = ({ type }: { type: string }) => type === "step" && abort.abort();
      await train(config, { path, signal: abort.signal, onEvent: stop });
      const checkpoint = (await findCheckpoint(path))!.path;
      const { sections } = await readCheckpoint(checkpoint);
      expect(Object.keys(sections).sort()).toEqual(["ema", "flow", "optimizer", "policy"]);
      const file = join(checkpoint, `${forget}.safetensors`);
      const bytes = readFileSync(file);
      const headerLength = Number(bytes.readBigUInt64LE());
      bytes.fill(0, 8 + headerLength);
      writeFileSync(file, bytes);
      expect((await train(config, { path })).policy, forget).not.toEqual(policy);
    }
  });

  test("one that is finished stays as it is", async () => {
    const config = configOf(plane, "train.updates=3");
    const path = freshPath();
    await trainToFile(config, path);
    const events = readFileSync(join(path, "events.jsonl"), "utf8");
    const weights = readFileSync(join(path, "final.safetensors"));
    await trainToFile(config, path);
    expect(readFileSync(join(path, "final.safetensors")).equals(weights)).toBe(true);
    expect(readFileSync(join(path, "events.jsonl"), "utf8")).toBe(events);
  });
});

test("a process killed (SIGKILL) at random moments, and started again each time, ends with the same run", async () => {
  const code = transpiled(join(scratch, "code"));
  const { file, set } = cases[1]!;
  const config = configOf(file, ...set, "train.updates=30", "train.checkpointEvery=4");
  const configFile = join(scratch, "config.json");
  writeFileSync(configFile, JSON.stringify(config));
  const whole = freshPath();
  expect(await trainToFile(config, whole)).toBe(true);

  const killed = freshPath();
  const firsts: number[] = [];
  for (const moment of new Rng(3).uniform(3, { purpose: "test" })) {
    let first = 0;
    const { child, exit } = startTraining(code, killed, configFile, (update) => {
      first ||= update;
      // Some updates on, within about the time of a few: inside an update, or a checkpoint.
      if (update === first + 5) setTimeout(() => child.kill("SIGKILL"), 60 * moment);
    });
    const ended = await exit;
    firsts.push(first);
    if (ended === 0) break; // it was faster
    expect(ended).toBe("SIGKILL");
  }
  expect(firsts[0]).toBe(1);
  expect(firsts[1]).toBeGreaterThan(1); // it went on from a checkpoint
  expect(await startTraining(code, killed, configFile).exit).toBe(0);
  await expectSameRun(killed, whole);
});

test("pretraining that is stopped goes on as if it had not been", async () => {
  const options = { updates: 9, lr: 0.1, warmup: 2, betas: [0.9, 0.95], weightDecay: 0, clip: 1, ema: 0.5 } as const;
  const task = (): NetworkTask => ({
    params: { w: { shape: [3], data: Float32Array.of(1, 2, 3) } },
    losses: ({ w }) => ({
      loss: w!
        .sub(input("target", [3]))
        .mul(constant(Float32Array.of(1, 2, 4), [3]))
        .square()
        .sum(),
    }),
    feeds: (update) => ({ target: new Rng(0).normal(3, { purpose: "test", sample: update }) }),
  });
  const run = async (path: string, stopAt = Number.POSITIVE_INFINITY) => {
    const directory = await openRunDirectory(path, options, { resume: true });
    const abort = new AbortController();
    const loop = trainNetwork(
      nodeRuntime({ threads: 1 }),
      task(),
      { ...options, seed: 0, checkpointEvery: 3 },
      directory,
      abort.signal,
    );
    try {
      for (;;) {
        const { value, done } = await loop.next();
        if (done) return value;
        if (value.type === "step" && value.update === stopAt) abort.abort();
      }
    } finally {
      directory.release();
    }
  };
  const [whole, stopped] = [freshPath(), freshPath()];
  const weights = await run(whole);
  await run(stopped, 2);
  await run(stopped, 7);
  expect(await run(stopped)).toEqual(weights);
  expect(await eventsOf(stopped)).toEqual(await eventsOf(whole));
});
