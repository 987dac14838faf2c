import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { addConvert } from "../src/cli/convert.ts";
import { addExport } from "../src/cli/export.ts";
import { addMerge } from "../src/cli/merge.ts";
import { addVerify } from "../src/cli/verify.ts";
import { loadDiffusers } from "../src/models/diffusers.ts";
import { type LoraCardFacts, loraCard } from "../src/report/lora-card.ts";
import { resolveConfig } from "../src/train/config.ts";
import { baseModules, loraDelta, readLora } from "../src/weights/lora/index.ts";
import { writeSafetensorsFile } from "../src/weights/safetensors-file.ts";
import { relativeError } from "./tolerances.ts";
import { randomLora } from "./worlds/lora.ts";

const base = "assets/models/animals-32";
const folder = mkdtempSync(join(tmpdir(), "nablaflow-lora-commands-"));
const run = join(folder, "my-run");
const at = (name: string) => join(folder, name);

/** Runs a command in this process; gives what it printed and its exit code. */
async function nabla(...args: string[]): Promise<{ code: number; stdout: string }> {
  const program = new Command("nabla").exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  for (const add of [addExport, addConvert, addMerge, addVerify])
    add({ program, signal: new AbortController().signal });
  let stdout = "";
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += text;
    return true;
  });
  process.exitCode = 0;
  await program.parseAsync(args, { from: "user" });
  const code = process.exitCode;
  process.exitCode = 0;
  return { code, stdout };
}
afterEach(() => vi.restoreAllMocks());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// What a run of rank 4 and alpha 6 leaves, on three modules of the bundled model.
const chosen = /attn1\.to_q$|mid_block.*conv1$|mid_block.*proj_in$/;
beforeAll(async () => {
  mkdirSync(join(run, "samples"), { recursive: true });
  const reward = { kind: "style-score", styles: ["fluent-emoji"] };
  const finetune = { rank: 4, alpha: 6 };
  const file = { model: { kind: "diffusers", path: base }, reward, finetune, prompts: ["a cat"] };
  writeFileSync(join(run, "config.json"), JSON.stringify(resolveConfig({ file, source: "test" })));
  const measured = { reward: -2, rewardStd: 1, diversity: 0.5, images: 8, seeds: [1000] };
  const after = { ...measured, reward: -1.25, priorDistance: 0.125, priorDistanceFloor: 0.0625 };
  writeFileSync(join(run, "summary.json"), JSON.stringify({ before: measured, after, seconds: 1 }));
  writeFileSync(join(run, "samples", "after.png"), "a picture");
  const shapes = [...(await baseModules(base))].filter(([name]) => name.startsWith("unet.") && chosen.test(name));
  const lora = randomLora(Object.fromEntries(shapes.map(([name, weight]) => [name, { rank: 4, alpha: 6, weight }])));
  const tensors = Object.entries(lora).flatMap(([name, { down, up }]) => [
    [`${name}.lora_A.weight`, down],
    [`${name}.lora_B.weight`, up],
  ]);
  await writeSafetensorsFile(join(run, "final.safetensors"), Object.fromEntries(tensors));
});

describe("export", () => {
  test.each([
    ["diffusers", "pytorch_lora_weights.safetensors", 4],
    ["peft", "adapter_model.safetensors", 6],
    ["kohya", "my-run.safetensors", 6],
  ])("%s: the run's strength, and a card with base, licence, reward and numbers", async (format, file, alpha) => {
    const { code, stdout } = await nabla("export", run, "--format", format, "--json");
    const out = join(run, "export", format);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).files).toEqual(
      expect.arrayContaining([join(out, file), join(out, "README.md"), join(out, "samples.png")]),
    );
    const [module] = Object.values(await readLora(out));
    expect(module).toMatchObject({ rank: 4, alpha });
    expect((await nabla("verify", run, out, "--base", base)).code).toBe(0);
    const card = readFileSync(join(out, "README.md"), "utf8");
    for (const said of [
      "license: apache-2.0",
      base,
      "style-score",
      "fluent-emoji",
      "| reward | -2.000 | -1.250 |",
      "samples.png",
    ]) {
      expect(card).toContain(said);
    }
    expect(card).toContain("| distance to the base model | 0.063 | 0.125 |");
    expect(card).not.toMatch(/^base_model:/m); // a hub refuses a folder there
  });

  test("the front matter is YAML that a hub takes: base_model is a name on it", () => {
    const facts: LoraCardFacts = {
      ...{
        name: "a",
        format: "peft",
        weightFile: "adapter_model.safetensors",
        baseModel: "owner/model",
        isOnHub: true,
      },
      ...{ licence: undefined, rewards: [{ kind: "jpeg-size" }], objective: { kind: "ddpo" }, updates: 1, prompts: [] },
      ...{ finetune: { rank: 4, alpha: 8, targets: ["*"] }, summary: undefined, sample: undefined },
      onnxPart: undefined,
    };
    const card = loraCard(facts);
    expect(card).toMatch(/UNet2DConditionModel\.from_pretrained\("owner\/model"/);
    // An ONNX file cannot be opened by diffusers.
    const ofOnnx = loraCard({ ...facts, format: "diffusers", onnxPart: "transformer" });
    expect(ofOnnx).toMatch(/network\.load_lora_adapter\(.* prefix="transformer"\)/);
    expect(ofOnnx).not.toMatch(/from_pretrained/);
    expect(parse(/^---\n(.*?)\n---\n/s.exec(card)![1]!)).toEqual({
      ...{ license: "other", base_model: "owner/model", base_model_relation: "adapter", library_name: "peft" },
      tags: ["lora", "text-to-image", "nablaflow"],
    });
  });

  test("a folder in use, and a run without a LoRA, are refused", async () => {
    mkdirSync(at("used"));
    writeFileSync(at("used/notes.txt"), "");
    await expect(nabla("export", run, "--out", at("used"))).rejects.toThrow(/used holds notes\.txt/);
    mkdirSync(at("world"));
    const model = { kind: "gaussian-mixture", means: [[-1], [1]], stds: 0.3 };
    const file = { model, reward: { kind: "linear", k: [1] }, train: { updates: 1, trajectories: 1 } };
    writeFileSync(at("world/config.json"), JSON.stringify(resolveConfig({ file, source: "test" })));
    await expect(nabla("export", at("world"))).rejects.toThrow(/finetune\.mode: lora, but .*gaussian-mixture/);
  });
});

test("convert: every format into every other has the same effect", async () => {
  await nabla("convert", run, "--format", "kohya", "--out", at("kohya"));
  await nabla(
    "convert",
    join(at("kohya"), "my-run.safetensors"),
    "--format",
    "peft",
    "--base",
    base,
    "--out",
    at("peft"),
  );
  await nabla("convert", at("peft"), "--format", "diffusers", "--dtype", "f16", "--out", at("half"));
  const strict = await nabla("verify", run, at("peft"), "--json");
  expect(strict.code).toBe(0);
  expect(JSON.parse(strict.stdout)).toMatchObject({ same: true });
  expect((await nabla("verify", run, at("half"))).code).toBe(1);
  expect((await nabla("verify", run, at("half"), "--tolerance", "0.002")).code).toBe(0);
  await expect(nabla("convert", run, "--out", at("never"))).rejects.toMatchObject({ exitCode: 1 }); // --format is missing
});

test("verify names the module that differs", async () => {
  await nabla("merge", run, "--weights", "0.5", "--out", at("weaker"));
  const { code, stdout } = await nabla("verify", run, at("weaker"));
  expect(code).toBe(1);
  expect(stdout).toMatch(/unet\.mid_block\.resnets\.0\.conv1 +5\.00e-1/);
  expect(stdout).toMatch(/Different: .* allowed 0\.0001/);
});

describe("merge", () => {
  test("half of a LoRA and half of it again is the LoRA; it and its negative are nothing", async () => {
    await nabla("merge", run, run, "--weights", "0.5,0.5", "--format", "peft", "--out", at("whole"));
    expect((await nabla("verify", run, at("whole"))).code).toBe(0);
    await nabla("merge", run, at("whole"), "--weights", "1,-1", "--out", at("nothing"));
    const [module] = Object.values(await readLora(at("nothing")));
    expect(Math.max(...loraDelta(module!).data.map(Math.abs))).toBeLessThan(1e-5);
    await expect(nabla("merge", run, run, "--weights", "1", "--out", at("never"))).rejects.toThrow(
      /one number for each/,
    );
  });

  test("into a model: the folder loads, and its weights are W + ΔW", async () => {
    await nabla("merge", run, "--base", base, "--out", at("merged"));
    const [before, after] = [await loadDiffusers(base), await loadDiffusers(at("merged"))];
    const lora = await readLora(join(run, "export", "peft"));
    for (const [name, { data }] of Object.entries(before.weights)) {
      const module = lora[name.replace(/\.weight$/, "")];
      const delta = module && loraDelta(module).data;
      const expected = delta ? data.map((w, k) => w + delta[k]!) : data;
      expect(relativeError(after.weights[name]!.data, expected), name).toBeLessThan(1e-3); // stored as float16
    }
  });
});
