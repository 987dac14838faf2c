import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { describePath } from "../src/cli/describe-path.ts";
import { table } from "../src/cli/table.ts";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { parseJson } from "../src/core/parse-json.ts";
import { loadPictures } from "../src/data/index.ts";
import { readRun } from "../src/report/read-run.ts";
import { findCheckpoint, readEvents, readRunConfig, readSummary } from "../src/run/index.ts";
import { resolveConfig } from "../src/train/config.ts";
import { loraOf } from "../src/weights/lora/index.ts";
import { readSafetensorsFile } from "../src/weights/safetensors-file.ts";
import { buildHeader } from "../src/weights/safetensors-header.ts";

// What fuzzing and reading found, one case each; the fuzz tests (*-fuzz.test.ts) look for more.

const folder = mkdtempSync(join(tmpdir(), "nablaflow-hostile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder with these files. */
function folderOf(name: string, files: Readonly<Record<string, string>>): string {
  const dir = join(folder, name);
  mkdirSync(dir, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
  return dir;
}
const refusal = async (reading: Promise<unknown>): Promise<Error> =>
  reading.then(
    () => {
      throw new Error("it was read");
    },
    (error: Error) => error,
  );

describe("JSON", () => {
  test("millions of brackets, and keys that stand twice at any depth, are refused", () => {
    expect(() => parseJson("[".repeat(2 ** 22), "a.json")).toThrow(/a\.json: JSON is nested at most 64 levels/);
    expect(() => parseJson('{"a":[{"x":1,"\\u0078":2}]}', "a.json")).toThrow(/a\.json has the key "x" twice/);
    expect(parseJson('["[[{{", {"a": {"a": 1}}]', "a.json")).toEqual(["[[{{", { a: { a: 1 } }]);
  });
});

test("a list of events that a kill has cut inside a character is read up to there", async () => {
  const run = folderOf("cut", { "config.json": "{}" });
  const line = '{"type":"start","time":"2026-01-01T00:00:00.000Z"}\n';
  writeFileSync(join(run, "events.jsonl"), Buffer.from(`${line}{"type":"x","prompt":"é`).subarray(0, -1));
  const { events, damagedLines } = await readEvents(join(run, "events.jsonl"));
  expect([events.length, damagedLines]).toEqual([1, [2]]);
  expect((await readRun(run)).events.unreadable).toBe(0); // the last line may be cut
});

describe("memory", () => {
  test("a sparse file with a tensor of terabytes is refused, not allocated", async () => {
    const path = join(folder, "huge.safetensors");
    const bytes = 2 ** 42;
    const header = buildHeader([{ name: "w", dtype: "U8", shape: [bytes], bytes }], {});
    writeFileSync(path, header);
    truncateSync(path, header.length + bytes);
    const error = await refusal(readSafetensorsFile(path));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(/huge\.safetensors: one piece of it has 4398046511104 bytes/);
  });

  test("A and B of a small file that make a weight of 10^10 numbers are refused", () => {
    const column = { shape: [100_000, 1], data: new Float32Array(100_000) };
    const tensors = { "unet.x.lora_A.weight": { ...column, shape: [1, 100_000] }, "unet.x.lora_B.weight": column };
    expect(() => loraOf({ tensors, metadata: {} }, "bomb")).toThrow(/bomb: unet\.x: a weight has at most \d+ numbers/);
  });

  test("a table of more rows than a call takes arguments", () => {
    const rows = Array.from({ length: 300_000 }, () => ["a", "bc"]);
    expect(table(rows).slice(0, 10)).toBe("a  bc\na  bc".slice(0, 10));
  });
});

describe("JSON of another type than expected", () => {
  test("the class of a model", async () => {
    const dir = folderOf("model", { "model_index.json": '{"_class_name": {"toString": null, "valueOf": 1}}' });
    expect(await describePath(dir)).toMatchObject({ kind: "diffusers folder", architecture: "not stated" });
  });

  test("a configuration and a summary of a run", async () => {
    const run = folderOf("run", {
      "config.json": "null",
      "summary.json": '{"before": null, "after": {"reward": "x"}}',
    });
    expect((await refusal(readRunConfig(run))).message).toMatch(/config\.json: a configuration is a JSON object/);
    const error = await refusal(readSummary(run));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(/summary\.json: .*\n.*before/);
  });

  test("exact measures for the report", async () => {
    const run = folderOf("exact", { "summary.json": '{"exact": {"pretrained": 1}}' });
    expect(await refusal(readRun(run))).toBeInstanceOf(FormatError);
  });

  test("the state of a checkpoint, which is then none; its sections name no other folder", async () => {
    const run = folderOf("checkpoints", {});
    for (const state of ["null", '{"step": 1, "eventsBytes": 0, "sections": {"../../../etc/x": 1}}']) {
      folderOf("checkpoints/checkpoints/step-00000001", { "state.json": state });
      expect(await findCheckpoint(run)).toBeUndefined();
    }
  });

  test("an index of pictures whose sheet is missing", async () => {
    const style = { style: "a", family: "a", split: "train", sheet: "a.png", source: "here", licence: "CC0-1.0" };
    const pictures = [{ animal: "cat", style: "a", view: "face", cell: 0, icon: "x" }];
    const index = { format: "nablaflow-pictures-1", cell: 64, columns: 1, animals: ["cat"], styles: [style], pictures };
    const error = await refusal(loadPictures(folderOf("pictures", { "index.json": JSON.stringify(index) })));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(/index\.json names the sheet .*a\.png, which cannot be read \(ENOENT\)/);
  });

  test("a mixture without components", () => {
    const file = { model: { kind: "gaussian-mixture", means: [], stds: 1 }, reward: { kind: "linear", k: [1] } };
    expect(() => resolveConfig({ file, source: "test" })).toThrow(ConfigError);
  });
});
