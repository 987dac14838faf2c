import { type ChildProcess, spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError, NonFiniteError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import { writeJsonAtomic } from "../src/run/atomic.ts";
import { findCheckpoint, readCheckpoint, recoverCheckpoints, writeCheckpoint } from "../src/run/checkpoint.ts";
import { differingKeys } from "../src/run/differing-keys.ts";
import { EventWriter, readEvents } from "../src/run/events.ts";
import { openRunDirectory } from "../src/run/run-directory.ts";
import { readSummary, writeSummary } from "../src/run/summary.ts";

const scratch = mkdtempSync(join(tmpdir(), "nablaflow-run-"));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const freshPath = (): string => join(scratch, `run-${folders++}`);

const config = { model: { kind: "gaussian-mixture" }, reward: [{ kind: "linear", k: [1, 2] }], train: { updates: 10 } };
const array = (value: number): { shape: number[]; data: Float32Array } => ({
  shape: [2, 3],
  data: new Float32Array(6).fill(value),
});
const contentOf = (step: number) => ({
  step,
  eventsBytes: 0,
  sections: { policy: { "a.weight": array(step) }, optimizer: { "a.weight.m": array(-step), "a.weight.v": array(0) } },
  state: { step, mean: 0.1 + step, prompts: { "a cat": [1 / 3] } },
});

describe("taking a folder", () => {
  test("a new or empty folder is taken, config.json holds the configuration", async () => {
    const path = freshPath();
    const run = await openRunDirectory(path, config, { resume: false });
    expect(JSON.parse(readFileSync(join(path, "config.json"), "utf8"))).toEqual(config);
    expect(run.checkpoint).toBeUndefined();
    run.release();
    expect(readdirSync(path)).toEqual(["config.json"]);
    mkdirSync(freshPath());
    (await openRunDirectory(join(scratch, `run-${folders - 1}`), config, { resume: false })).release();
  });

  test("a folder with something in it is refused without resume, and left as it was", async () => {
    const path = freshPath();
    mkdirSync(path);
    writeFileSync(join(path, "thesis.tex"), "text");
    await expect(openRunDirectory(path, config, { resume: false })).rejects.toThrow(/thesis\.tex.*--resume.*--out/);
    await expect(openRunDirectory(path, config, { resume: true })).rejects.toThrow(/is not a run/);
    expect(readdirSync(path)).toEqual(["thesis.tex"]);
  });

  test("resume: the same configuration goes on, train.updates may change, other keys are named", async () => {
    const path = freshPath();
    (await openRunDirectory(path, config, { resume: true })).release();
    await writeCheckpoint(path, contentOf(5));
    const longer = { ...config, train: { updates: 20 } };
    const run = await openRunDirectory(path, longer, { resume: true });
    expect(run.checkpoint).toEqual({ step: 5, path: join(path, "checkpoints", "step-00000005") });
    run.release();
    expect(JSON.parse(readFileSync(join(path, "config.json"), "utf8"))).toEqual(longer);
    const other = { ...longer, reward: [{ kind: "linear", k: [1, 3] }], finetune: { rank: 4 } };
    const refused = openRunDirectory(path, other, { resume: true });
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(/these keys differ: finetune, reward\.0\.k\.1\. Only train\.updates/);
    expect(existsSync(join(path, "lock"))).toBe(false);
  });

  test("a folder in use is refused, also to the same process; released, it is free", async () => {
    const path = freshPath();
    const run = await openRunDirectory(path, config, { resume: false });
    const second = openRunDirectory(path, config, { resume: true });
    await expect(second).rejects.toThrow(new RegExp(`process ${process.pid} on ${hostname()}.*delete .*lock`));
    run.release();
    run.release();
    (await openRunDirectory(path, config, { resume: true })).release();
  });

  test("the lock of a dead process is taken over; of another machine it is not", async () => {
    const path = freshPath();
    mkdirSync(path);
    const lock = join(path, "lock");
    const child = spawn(process.execPath, ["-e", ""]);
    await exitOf(child);
    const stale = [JSON.stringify({ pid: child.pid, host: hostname() }), "", '{"pid":', "null"];
    const reused = JSON.stringify({ pid: process.pid, host: hostname() }); // as after a restarted container
    for (const text of [...stale, reused]) {
      writeFileSync(lock, text);
      (await openRunDirectory(path, config, { resume: true })).release();
      expect(readdirSync(path)).toEqual(["config.json"]);
    }
    writeFileSync(lock, JSON.stringify({ pid: child.pid, host: "elsewhere" }));
    await expect(openRunDirectory(path, config, { resume: true })).rejects.toThrow(/on elsewhere/);
  });

  test("of several that come at once, one gets the folder", async () => {
    const path = freshPath();
    mkdirSync(path);
    writeFileSync(join(path, "lock"), JSON.stringify({ pid: 2 ** 30, host: hostname() }));
    const all = await Promise.allSettled(
      Array.from({ length: 8 }, () => openRunDirectory(path, config, { resume: true })),
    );
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(readdirSync(path).sort()).toEqual(["config.json", "lock"]);
  });
});

test("differingKeys names the deepest paths, and what only one side has", () => {
  expect(differingKeys(config, structuredClone(config))).toEqual([]);
  expect(differingKeys({ a: 1, b: { c: [1, 2] } }, { a: 1, b: { c: [1, 3, 4] }, d: {} })).toEqual([
    "b.c.1",
    "b.c.2",
    "d",
  ]);
  expect(differingKeys({ a: [1] }, { a: { 0: 1 } })).toEqual(["a"]);
  expect(differingKeys({ a: null }, { a: {} })).toEqual(["a"]);
});

test("JSON that would lose something is refused, and the old file stays", async () => {
  const path = `${freshPath()}.json`;
  await writeJsonAtomic(path, { fine: 1e-320 });
  await expect(writeJsonAtomic(path, { loss: { mean: Number.NaN } })).rejects.toThrow(NonFiniteError);
  await expect(writeJsonAtomic(path, { m: new Float32Array(2) })).rejects.toThrow(/"m" is a typed array/);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ fine: 1e-320 });
  expect(readdirSync(scratch).filter((name) => name.includes(".tmp-"))).toEqual([]);
});

test("a summary comes back; a file that is none is refused", async () => {
  const run = freshPath();
  mkdirSync(run);
  const before = { reward: 0.5, rewardStd: 0.1, diversity: 0.3, images: 64, seeds: [1, 2] };
  const summary = {
    before,
    after: { ...before, reward: 0.9, priorDistance: 0.01, priorDistanceFloor: 0 },
    seconds: 12,
  };
  await writeSummary(run, summary);
  expect(await readSummary(run)).toEqual(summary);
  for (const text of ["{", "null", '{"before":{}}']) {
    writeFileSync(join(run, "summary.json"), text);
    await expect(readSummary(run)).rejects.toThrow(FormatError);
  }
});

describe("events", () => {
  type Event = { type: "step"; step: number; loss: number } | { type: "done" };
  const clock = (): Date => new Date(Date.UTC(2026, 0, 2));

  test("what is appended is read; bytes is the length of the file", async () => {
    const path = freshPath();
    const writer = new EventWriter<Event>(path, 0, clock);
    expect(writer.append({ type: "step", step: 1, loss: 0.1 }).time).toBe("2026-01-02T00:00:00.000Z");
    writer.append({ type: "done" });
    writer.sync();
    const text = readFileSync(path, "utf8");
    expect(text.split("\n")[0]).toBe('{"type":"step","time":"2026-01-02T00:00:00.000Z","step":1,"loss":0.1}');
    expect(writer.bytes).toBe(text.length);
    writer.close();
    expect((await readEvents(path)).events.map(({ type }) => type)).toEqual(["step", "done"]);
  });

  test("resuming cuts the file to the recorded length, and goes on there", async () => {
    const path = freshPath();
    const first = new EventWriter<Event>(path);
    first.append({ type: "step", step: 1, loss: 1 });
    const { bytes } = first;
    first.append({ type: "step", step: 2, loss: 1 });
    first.close();
    appendFileSync(path, '{"type":"st'); // torn by a kill
    const resumed = new EventWriter<Event>(path, bytes);
    resumed.append({ type: "done" });
    resumed.close();
    const { events, damagedLines } = await readEvents(path);
    expect(events.map((event) => [event.type, event.step])).toEqual([
      ["step", 1],
      ["done", undefined],
    ]);
    expect(damagedLines).toEqual([]);
    expect(() => new EventWriter(path, 10_000)).toThrow(FormatError);
    expect(() => new EventWriter(path, bytes - 1)).toThrow(/no line ends/);
    new EventWriter(path).close();
    expect(readFileSync(path, "utf8")).toBe("");
  });

  test("the reader passes over torn and foreign lines and tells their numbers", async () => {
    const path = freshPath();
    const good = '{"type":"done","time":"2026-01-02T00:00:00.000Z"}';
    writeFileSync(path, `${good}\nnull\n{"type":7}\n\n${good}\n{"type":"do`);
    const { events, damagedLines } = await readEvents(path);
    expect(events).toHaveLength(2);
    expect(damagedLines).toEqual([2, 3, 4, 6]);
  });
});

describe("checkpoints", () => {
  test("a checkpoint comes back to the bit, and latest names it", async () => {
    const run = freshPath();
    const content = contentOf(600);
    const { path } = await writeCheckpoint(run, content);
    expect(readdirSync(path).sort()).toEqual(["optimizer.safetensors", "policy.safetensors", "state.json"]);
    expect(readFileSync(join(run, "checkpoints", "latest"), "utf8")).toBe("step-00000600\n");
    expect(await readCheckpoint(path)).toMatchObject(content);
    expect(await findCheckpoint(run)).toEqual({ step: 600, path });
  });

  test("weight files hold neither time, host nor path", async () => {
    const [a, b] = [freshPath(), freshPath()];
    const file = (path: string): Buffer => readFileSync(join(path, "policy.safetensors"));
    const first = file((await writeCheckpoint(a, contentOf(1))).path);
    expect(file((await writeCheckpoint(b, contentOf(1))).path)).toEqual(first);
  });

  test("the newest are kept", async () => {
    const run = freshPath();
    for (const step of [1, 2, 10, 100_000_000]) await writeCheckpoint(run, contentOf(step), { keep: 2 });
    expect(readdirSync(join(run, "checkpoints")).sort()).toEqual(["latest", "step-00000010", "step-100000000"]);
    expect((await findCheckpoint(run))?.step).toBe(100_000_000);
  });

  test("damaged and half-written ones are passed over, leftovers removed, and a damaged one is replaced", async () => {
    const run = freshPath();
    const place = await writeCheckpoint(run, contentOf(1));
    for (const step of [2, 3, 4, 5]) await writeCheckpoint(run, contentOf(step));
    const at = (step: number, file: string): string => join(run, "checkpoints", `step-0000000${step}`, file);
    truncateSync(at(2, "policy.safetensors"), 100);
    rmSync(at(3, "optimizer.safetensors"));
    rmSync(at(4, "state.json"));
    writeFileSync(at(5, "state.json"), '{"step":');
    mkdirSync(join(run, "checkpoints", "step-00000006.tmp-77-0"));
    writeFileSync(join(run, "checkpoints", "latest.tmp-77-1"), "step");
    await expect(readCheckpoint(dirname(at(3, "")))).rejects.toThrow(/not a whole checkpoint/);
    expect(await recoverCheckpoints(run)).toEqual(place);
    const names = readdirSync(join(run, "checkpoints"));
    expect(names.filter((name) => name.includes("tmp"))).toEqual([]);
    expect(readFileSync(join(run, "checkpoints", "latest"), "utf8")).toBe("step-00000001\n");
    await writeCheckpoint(run, contentOf(3));
    expect((await findCheckpoint(run))?.step).toBe(3);
  });

  test("a failed write leaves nothing", async () => {
    const run = freshPath();
    const broken = { ...contentOf(1), state: { loss: Number.POSITIVE_INFINITY } };
    await expect(writeCheckpoint(run, broken)).rejects.toThrow(NonFiniteError);
    expect(readdirSync(join(run, "checkpoints"))).toEqual([]);
    expect(await recoverCheckpoints(run)).toBeUndefined();
    expect(await recoverCheckpoints(freshPath())).toBeUndefined();
  });
});

describe("a process killed (SIGKILL) at any moment", () => {
  test("leaves a whole checkpoint, events that reach it, and a folder the next process can take", async () => {
    const code = transpiled();
    const run = freshPath();
    const delays = new Rng(0).uniform(12, { purpose: "test" });
    let furthest = 0;
    for (const delay of delays) {
      const child = spawn(process.execPath, [join(code, "child.js"), run], { stdio: ["ignore", "pipe", "inherit"] });
      let output = "";
      child.stdout!.setEncoding("utf8").on("data", (text: string) => {
        // From its first checkpoint on, within about the time of three.
        if (output === "") setTimeout(() => child.kill("SIGKILL"), 60 * delay);
        output += text;
      });
      expect(await exitOf(child)).toBe("SIGKILL");
      const last = Number(output.split("\n").at(-2)); // the last whole line
      expect(last).toBeGreaterThan(furthest);

      const taken = await openRunDirectory(run, {}, { resume: true });
      const { step, path } = taken.checkpoint!;
      expect(step).toBeGreaterThanOrEqual(last); // what was reported written is there
      furthest = step;
      const content = await readCheckpoint(path);
      expect(content.state).toEqual({ step });
      for (const arrays of Object.values(content.sections)) {
        for (const { data } of Object.values(arrays)) expect(data.every((value) => value === step)).toBe(true);
      }
      const writer = new EventWriter(join(run, "events.jsonl"), content.eventsBytes);
      writer.close();
      const steps = (await readEvents(join(run, "events.jsonl"))).events.map((event) => event.step);
      expect(steps).toEqual(Array.from({ length: step }, (_, i) => i + 1));
      const names = readdirSync(join(run, "checkpoints"));
      expect(names.every((name) => name === "latest" || /^step-\d{8}$/.test(name))).toBe(true);
      expect(names.length).toBeLessThanOrEqual(4); // latest, two kept, one not yet removed
      expect(readFileSync(join(run, "checkpoints", "latest"), "utf8").trim()).toBe(
        `step-${String(step).padStart(8, "0")}`,
      );
      // The next child finds a lock of a dead process, as if nobody had tidied up.
      taken.release();
      writeFileSync(join(run, "lock"), JSON.stringify({ pid: child.pid, host: hostname() }));
    }
  });
});

/** What the child does: goes on from the last checkpoint, an event and a checkpoint a step, telling each when written. */
const childProgram = `
import { join } from "node:path";
import { openRunDirectory } from "./src/run/run-directory.js";
import { readCheckpoint, writeCheckpoint } from "./src/run/checkpoint.js";
import { EventWriter } from "./src/run/events.js";
const path = process.argv[2];
const run = await openRunDirectory(path, {}, { resume: true });
const from = run.checkpoint ? await readCheckpoint(run.checkpoint.path) : { step: 0, eventsBytes: 0 };
const events = new EventWriter(join(path, "events.jsonl"), from.eventsBytes);
for (let step = from.step + 1; ; step++) {
  events.append({ type: "step", step });
  events.sync();
  const weights = { a: { shape: [20000], data: new Float32Array(20000).fill(step) }, b: { shape: [], data: Float32Array.of(step) } };
  const content = { step, eventsBytes: events.bytes, sections: { policy: weights, optimizer: weights }, state: { step } };
  await writeCheckpoint(path, content, { keep: 2 });
  process.stdout.write(step + "\\n");
}
`;

/** A folder with src/core, src/weights and src/run as JavaScript, which a plain Node process can run. */
function transpiled(): string {
  const out = join(scratch, "code");
  const source = fileURLToPath(new URL("../src", import.meta.url));
  for (const folder of ["core", "weights", "run"]) {
    mkdirSync(join(out, "src", folder), { recursive: true });
    for (const name of readdirSync(join(source, folder)).filter((file) => file.endsWith(".ts"))) {
      const { outputText } = ts.transpileModule(readFileSync(join(source, folder, name), "utf8"), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2022,
          module: ts.ModuleKind.ES2022,
          rewriteRelativeImportExtensions: true,
          verbatimModuleSyntax: true,
        },
      });
      writeFileSync(join(out, "src", folder, name.replace(/ts$/, "js")), outputText);
    }
  }
  writeFileSync(join(out, "package.json"), '{"type":"module"}');
  writeFileSync(join(out, "child.js"), childProgram);
  return out;
}

/** The signal that ended a child, or its exit code. */
const exitOf = (process: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => process.once("exit", (code, signal) => resolve(signal ?? code)));
