import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { TensorProto_DataLocation as Location, StringStringEntryProtoSchema, TensorProtoSchema } from "onnx-buf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { baseLicence } from "../src/cli/base-licence.ts";
import { namedReward, shownHub } from "../src/cli/hub.ts";
import { addInspect } from "../src/cli/inspect.ts";
import { ConfigError } from "../src/core/errors.ts";
import { openModel } from "../src/evaluate/open-model.ts";
import { fromHub, hubFromEnvironment, parseHubId, showHubId } from "../src/hub/index.ts";
import { loadDiffusers } from "../src/models/index.ts";
import { openOnnxFile } from "../src/models/onnx-file.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { loadModel, prepare, type RunConfig, readConfig, resolveConfig, train } from "../src/train/index.ts";
import { readWeights, writeSafetensorsFile } from "../src/weights/index.ts";
import { root } from "./built-command.ts";
import { type HubStandIn, hubStandIn } from "./hub-stand-in.ts";
import { modelBytes } from "./worlds/onnx-model.ts";
import { writeTinyModel } from "./worlds/tiny-unet.ts";

// Models and rewards of a hub that is a stand-in on loopback, which holds the bundled ones.

const TOKEN = "hf_kept-by-the-environment";
const folder = mkdtempSync(join(tmpdir(), "nablaflow-hub-models-"));
const short: string[] = JSON.parse(readFileSync(join(root, "tests/short-run.json"), "utf8"));
const unetFile = "unet/diffusion_pytorch_model.safetensors";
const half = "unet/diffusion_pytorch_model.fp16.safetensors";
const local = join(folder, "tiny");
const unchanged = { ...process.env };

let standIn: HubStandIn;
let first: string;
let animals: Record<string, Buffer>;

const filesOf = (path: string): Record<string, Buffer> =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(path.length + 1).replaceAll("\\", "/"), readFileSync(file)]),
  );

beforeAll(async () => {
  standIn = await hubStandIn();
  Object.assign(process.env, { HF_ENDPOINT: standIn.endpoint, HF_TOKEN: TOKEN, HF_HUB_CACHE: join(folder, "cache") });
  delete process.env.HF_HUB_OFFLINE;
  await writeTinyModel(local, join(root, "assets/models/animals-32"));
  // The variant is told apart by its numbers: each is half as large.
  const { tensors } = await readWeights(join(local, unetFile));
  const halved = Object.entries(tensors).map(([name, { shape, data }]) => [
    name,
    { shape, data: data.map((w) => w / 2) },
  ]);
  await writeSafetensorsFile(join(local, half), Object.fromEntries(halved), {}, "F16");
  animals = { ...filesOf(local), "README.md": Buffer.from("---\nlicense: openrail\n---\n") };
  first = standIn.commit("owner/animals", "main", animals);
  standIn.commit("owner/style", "v1", filesOf(join(root, "assets/models/style-score")));
});
afterAll(() => {
  standIn.close();
  for (const name of ["HF_ENDPOINT", "HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"]) {
    if (unchanged[name] === undefined) delete process.env[name];
    else process.env[name] = unchanged[name];
  }
  rmSync(folder, { recursive: true, force: true });
});

const config = (...set: string[]): Promise<RunConfig> =>
  readConfig("configs/quickstart.yaml", {
    named: {
      model: { kind: "diffusers", path: "hf:owner/animals" },
      reward: { kind: "style-score", path: "owner/style@v1" },
    },
    set: [...short, "prompts=[a cat]", "finetune.rank=2", "objective.kind=ddpo", ...set],
  });

describe("a model of the hub", () => {
  test("is the same as the local folder", async () => {
    const ours = await prepare(await config());
    expect(ours.model.weights).toEqual((await loadDiffusers(local)).weights);
    expect(ours.reward.kind).toBe("style-score");
  });

  test.each(["local folder", "hub"])("takes the variant that is asked for, else the plain files: %s", async (where) => {
    const path = where === "hub" ? "hf:owner/animals" : local;
    const weightsOf = async (variant?: string) => {
      const file = { model: { kind: "diffusers", path, ...(variant && { variant }) } };
      return (await loadModel(resolveConfig({ file, source: "test", needsReward: false }))).weights;
    };
    const [plain, variant] = [await weightsOf(), await weightsOf("fp16")];
    for (const [name, { data }] of Object.entries(variant)) {
      const factor = name.startsWith("unet.") ? 0.5 : 1; // the text encoder has no variant
      const errors = data.map((value, i) => {
        const expected = factor * plain[name]!.data[i]!;
        return Math.abs(value - expected) - 2 ** -11 * Math.abs(expected); // rounded to half precision
      });
      expect(Math.max(...errors), name).toBeLessThanOrEqual(2 ** -25); // half of the smallest number of half precision
    }
    await expect(weightsOf("bf16")).rejects.toThrow(/no weights of the variant "bf16".*fp16/);
  });

  test("is trained: the run records the commit, goes on with it when the branch has moved, and holds no token", async () => {
    const out = join(folder, "run");
    const runtime = nodeRuntime({ threads: 2 });
    const updates = async (given: RunConfig, resume: boolean) => {
      const steps: number[] = [];
      for await (const event of train(given, { runtime, out, resume }))
        if (event.type === "step") steps.push(event.update);
      return steps;
    };
    expect(await updates(await config(), false)).toEqual([1]);
    const recorded = () => JSON.parse(readFileSync(join(out, "config.json"), "utf8")) as RunConfig;
    expect(recorded().model).toMatchObject({ kind: "diffusers", path: `hf:owner/animals@${first}` });
    expect(recorded().reward).toMatchObject({ path: expect.stringMatching(/^hf:owner\/style@[0-9a-f]{40}$/) });

    const second = standIn.commit("owner/animals", "main", { ...animals, "README.md": Buffer.from("new") });
    expect(second).not.toBe(first);
    expect(await updates(await config("train.updates=2"), true)).toEqual([2]);
    expect(recorded().model).toMatchObject({ path: `hf:owner/animals@${first}` });
    const other = await config("train.updates=3", `model.path=hf:owner/animals@${second}`);
    await expect(updates(other, true)).rejects.toThrow(/these keys differ: model\.path/);

    for (const [name, content] of Object.entries(filesOf(out))) expect(content.includes(TOKEN), name).toBe(false);
  });

  test("is sampled and inspected by its id, online and offline", async () => {
    const opened = await openModel(`hf:owner/animals@${first}`, { prompts: ["a cat"], steps: 2 });
    expect(opened.parts.prompts).toEqual(["a cat"]);
    process.env.HF_HUB_OFFLINE = "1";
    standIn.asked.length = 0;
    const written: string[] = [];
    const write = process.stdout.write;
    process.stdout.write = ((text: string) => written.push(text)) as never;
    try {
      const program = new Command();
      addInspect({ program, signal: new AbortController().signal });
      await program.parseAsync(["node", "nabla", "inspect", `hf:owner/animals@${first}`, "--json"]);
    } finally {
      process.stdout.write = write;
      delete process.env.HF_HUB_OFFLINE;
    }
    expect(JSON.parse(written.join(""))).toMatchObject({ kind: "diffusers folder" });
    expect(standIn.asked).toEqual([]);
  });
});

test("a download shows as a stage of the progress, and the card says the licence for an export", async () => {
  const stages: [string, number][] = [];
  const open = shownHub({ signal: new AbortController().signal }, { stage: (...told) => stages.push(told) });
  const id = parseHubId(`owner/animals@${first}`);
  await fromHub({ ...(await open()), cache: join(folder, "empty") }, id);
  expect(stages.at(-1)).toEqual([expect.stringMatching(/^loading owner\/animals \(\d+\.\d MB\)$/), 1]);
  await fromHub(await open(), id);
  expect(await baseLicence(showHubId(id))).toBe("openrail");
});

test("an ONNX file of the hub brings the weights that it keeps beside itself", async () => {
  const values = Float32Array.of(1, 2, 3, 4);
  const tensor = create(TensorProtoSchema, {
    name: "w",
    dataType: 1,
    dims: [4n],
    dataLocation: Location.EXTERNAL,
    externalData: [create(StringStringEntryProtoSchema, { key: "location", value: "net.onnx.data" })],
  });
  const net = modelBytes({ opset: 17, inputs: [], nodes: [], outputs: ["w"], initializers: [tensor] });
  const data = new Uint8Array(values.buffer);
  standIn.commit("owner/nets", "main", { "a/net.onnx": net, "a/net.onnx.data": data, "a/other.onnx": net });
  const path = await fromHub(await hubFromEnvironment(), parseHubId("owner/nets@main/a/net.onnx"));
  const { constants } = await openOnnxFile(path);
  expect(constants.get("w")!.data).toEqual(values);
  expect(readdirSync(join(path, "..")).sort()).toEqual(["net.onnx", "net.onnx.data"]);
});

describe("--reward", () => {
  test.each([
    ["style-score", { kind: "style-score" }],
    ["no-such", { kind: "no-such" }], // refused with the nearest known name where kinds are checked
    ["hf:owner/style@v1", { kind: "style-score", path: "hf:owner/style@v1" }],
    ["owner/style@v1", { kind: "style-score", path: "owner/style@v1" }],
    ["hf:owner/nets@main/score.onnx", { kind: "onnx", path: "hf:owner/nets@main/score.onnx" }],
    ["assets/models/prompt-score", { kind: "prompt-score", path: "assets/models/prompt-score" }],
  ])("%s is %j", async (text, reward) => {
    expect(await namedReward(text, hubFromEnvironment)).toEqual(reward);
  });

  test("a folder that no reward reads is refused with what is taken", async () => {
    const refused = namedReward("assets/models/animals-32", hubFromEnvironment);
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(/style or animal/);
  });
});
