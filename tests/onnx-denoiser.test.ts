import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TensorProto_DataType } from "onnx-buf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loraOfRun } from "../src/cli/open-lora.ts";
import type { ConfigData } from "../src/core/config.ts";
import { ConfigError } from "../src/core/errors.ts";
import { addPrefix, type NamedArrays, withPrefix } from "../src/core/named-arrays.ts";
import { assetPath } from "../src/core/package-root.ts";
import { Rng } from "../src/core/rng.ts";
import { openModel } from "../src/evaluate/open-model.ts";
import { openPictureJudges } from "../src/evaluate/picture-judges.ts";
import { clipTextSpecs, parseClipTextConfig } from "../src/models/clip-text.ts";
import type { Model } from "../src/models/index.ts";
import { loadOnnx, onnxModel } from "../src/models/onnx.ts";
import { openOnnxFile } from "../src/models/onnx-file.ts";
import { onnxModules } from "../src/models/onnx-modules.ts";
import { parseUNetConfig, unet, unetSpecs } from "../src/models/unet.ts";
import { asConstants, asInputs, initialize, type Params, withLora } from "../src/nn/index.ts";
import { openRunDirectory } from "../src/run/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { evaluate, fill, gradient, input, resize, type Tensor } from "../src/tensor/index.ts";
import type { RunConfig } from "../src/train/config.ts";
import { prepare } from "../src/train/prepare.ts";
import { loraDelta, readSafetensorsFile, writeDiffusersFolder, writeSafetensorsFile } from "../src/weights/index.ts";
import { relativeError } from "./tolerances.ts";
import { floatInput, floatTensor, intTensor, modelBytes, node, typedInput, wave } from "./worlds/onnx-model.ts";
import { samplesOf, type Training, train } from "./worlds/training.ts";
import { configOf, graphReward } from "./worlds/worlds.ts";

// What torch makes of its own networks is in tests/golden/onnx-denoiser (reference/onnx_denoiser_golden.py). The exported U-Net is
// also compared with our own of the same weights; of the DiT we have no other form, so torch is its counterpart.

const golden = new URL("./golden/onnx-denoiser/", import.meta.url).pathname;
const arrays = async (name: string) => (await readSafetensorsFile(`${golden}${name}.safetensors`)).tensors;
const provenance = JSON.parse(readFileSync(`${golden}provenance.json`, "utf8"));
const { rank, alpha } = provenance.lora as { rank: number; alpha: number };

let scratch: string;
/** A diffusers folder with the golden U-Net, and a text encoder that gives what it takes: 5 tokens of 6 numbers. */
let folder: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "nablaflow-denoiser-"));
  folder = join(scratch, "folder");
  const textConfig = {
    hidden_size: 6,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 5,
    vocab_size: JSON.parse(readFileSync(assetPath("models/animals-32/text_encoder/config.json"), "utf8")).vocab_size,
  };
  const specs = clipTextSpecs(parseClipTextConfig(textConfig));
  await writeDiffusersFolder(folder, {
    unet: {
      config: JSON.parse(readFileSync(`${golden}unet.config.json`, "utf8")),
      weights: await arrays("unet.weights"),
    },
    textEncoder: { config: textConfig, weights: initialize(specs, new Rng(8)) },
    scheduler: {
      _class_name: "DDPMScheduler",
      num_train_timesteps: 1000,
      beta_schedule: "scaled_linear",
      beta_start: 0.00085,
      beta_end: 0.012,
    },
    codec: { _class_name: "PixelUnshuffle", factor: 2 },
    tokenizer: assetPath("models/animals-32/tokenizer"),
  });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const schedule = { betaSchedule: "scaled_linear", betaStart: 0.00085, betaEnd: 0.012 };
const classes = { kind: "classes", prompts: { "a cat": 1, "a dog": 2 }, unconditional: 4 };
const unetData = (exporter: string) => ({
  path: `${golden}unet.${exporter}.onnx`,
  scheduler: schedule,
  codec: "pixel-unshuffle",
  condition: { kind: "text", path: folder },
});
const ditData = (exporter: string) => ({
  path: `${golden}dit.${exporter}.onnx`,
  scheduler: schedule,
  condition: classes,
});

type Data = Record<string, unknown>;
const load = (data: Data): Promise<Model> => loadOnnx(onnxModel.options.parse(data) as Parameters<typeof loadOnnx>[0]);

/** The modules that the golden file's LoRA is on, as targets. */
const loraOf = (values: Awaited<ReturnType<typeof arrays>>) => {
  const lora = withPrefix(values, "lora.");
  const targets = [...new Set(Object.keys(lora).map((name) => name.replace(/\.lora_[AB]\.weight$/, "")))];
  return { lora, targets };
};

const zeros = fill([2], 0);
const feedsOf = (values: Awaited<ReturnType<typeof arrays>>) =>
  Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, data]));

/** Output, gradient of sum(output · cotangent) to x and to the parameters, in float64. */
function judged(predict: (x: Tensor) => Tensor, shape: readonly number[], trained: readonly Tensor[], feeds: Data) {
  const x = input("x", [2, ...shape]);
  const y = predict(x);
  const loss = y.mul(input("cotangent", y.shape)).sum();
  return evaluate([y, ...gradient(loss, [x, ...trained])], feeds as Record<string, ArrayLike<number>>);
}

/** torch computes in float32, also the phase ω·t of its time embedding: at t = 871 sin and cos are off by up to 3e-5. */
const torchError = 1e-4;

describe.each(["classic", "dynamo"])("torch's %s exporter", (exporter) => {
  test("its U-Net has the modules and weights of ours under the same names", async () => {
    const config = parseUNetConfig(JSON.parse(readFileSync(`${golden}unet.config.json`, "utf8")));
    const { modules } = onnxModules(await openOnnxFile(`${golden}unet.${exporter}.onnx`));
    const own = Object.entries(unetSpecs(config)).filter(
      ([name, { shape }]) => name.endsWith(".weight") && shape.length > 1,
    );
    const wanted = Object.fromEntries(own.map(([name, { shape }]) => [name.slice(0, -".weight".length), shape]));
    expect(Object.fromEntries([...modules].map(([name, { shape }]) => [name, shape]))).toEqual(wanted);
  });

  test.each(["unet", "dit"])("%s: output and gradients are torch's, without and with a LoRA of peft", async (name) => {
    const values = await arrays(`${name}.values`);
    const model = await load(name === "unet" ? unetData(exporter) : ditData(exporter));
    const frozen = asConstants(model.weights);
    const time = { t: input("timestep", [2]), alphaBar: zeros, progress: zeros };
    const told: Record<string, Tensor> =
      name === "unet"
        ? { text: input("encoder_hidden_states", [2, 5, 6]) }
        : { class: input("class_labels", [2]).reshape([2, 1, 1]), prompt: fill([2, 1, 3], 0) };
    const feeds = feedsOf(values);
    const [plain, slope] = judged((x) => model.predict(frozen, x, time, told), model.shape, [], feeds);
    expect(relativeError(plain!, values.output!.data)).toBeLessThan(torchError);
    expect(relativeError(slope!, values.gradient!.data)).toBeLessThan(torchError);

    const { lora, targets } = loraOf(values);
    const adaptation = model.adaptation({ mode: "lora", rank, alpha, targets });
    const initial = adaptation.init(new Rng(1));
    const prefix = name === "unet" ? "unet." : "transformer.";
    expect(Object.keys(initial).sort()).toEqual(Object.keys(addPrefix(lora, prefix)).sort());
    const trained = asInputs(lora, "lora.");
    const bound = adaptation.bind(frozen, addPrefix(trained, prefix));
    const got = judged((x) => model.predict(bound, x, time, told), model.shape, Object.values(trained), feeds);
    expect(relativeError(got[0]!, values.adapted!.data)).toBeLessThan(torchError);
    expect(relativeError(got[1]!, values.adapted_gradient!.data)).toBeLessThan(torchError);
    Object.keys(lora).forEach((key, k) => {
      expect(relativeError(got[k + 2]!, values[`gradient.${key}`]!.data), key).toBeLessThan(torchError);
    });
    expect(relativeError(got[0]!, plain!)).toBeGreaterThan(0.01);
  });

  test("the U-Net is ours with the same weights: output, gradient to x, gradients of a LoRA", async () => {
    const values = await arrays("unet.values");
    const config = parseUNetConfig(JSON.parse(readFileSync(`${golden}unet.config.json`, "utf8")));
    const model = await load(unetData(exporter));
    const { lora, targets } = loraOf(values);
    const trained = asInputs(lora, "lora.");
    const t = input("timestep", [2]);
    const text = input("encoder_hidden_states", [2, 5, 6]);
    const native = withLora(asConstants(await arrays("unet.weights")), trained, alpha / rank);
    const bound = model
      .adaptation({ mode: "lora", rank, alpha, targets })
      .bind(asConstants(model.weights), addPrefix(trained, "unet."));
    const feeds = feedsOf(values);
    const inputs = Object.values(trained);
    const want = judged((x) => unet(native, config, x, t, text), model.shape, inputs, feeds);
    const got = judged(
      (x) => model.predict(bound, x, { t, alphaBar: zeros, progress: zeros }, { text }),
      model.shape,
      inputs,
      feeds,
    );
    // Both in float64: what differs is constants that an export stores as float32, such as 1/√d.
    for (const [k, value] of got.entries()) expect(relativeError(value, want[k]!), String(k)).toBeLessThan(1e-6);
  });
});

describe("the same trainer and sampler", () => {
  const text = (model: object): ConfigData => ({
    model,
    sampler: { kind: "ddpm", steps: 4, grid: "trailing", guidance: 2 },
    finetune: { rank: 2, alpha: 3, targets: ["*.to_q", "*.conv1", "*.time_emb_proj"] },
    prompts: ["a cat", "a dog"],
    objective: { kind: "residual-nabla-db", beta: 20 },
    train: { updates: 2, trajectories: 4, strata: 2, accumulate: 2, block: 4, threads: 1 },
    reward: { kind: "style-score" }, // replaced: it looks at pictures of 32×32
  });
  const ofClasses = (exporter: string): ConfigData => ({
    ...text({ kind: "onnx", ...ditData(exporter) }),
    finetune: { rank: 2, alpha: 3, targets: ["*.to_q", "*.linear_1", "pos_embed.proj"] },
  });
  const ofText = (exporter: string) => text({ kind: "onnx", ...unetData(exporter) });
  const native = () => text({ kind: "diffusers", path: folder });
  const rewarded = async (config: RunConfig, score: Parameters<typeof graphReward>[0]) => ({
    ...(await prepare(config)),
    reward: graphReward(score),
  });
  const brightness = ({ images }: { images: Tensor }) => images.mean([1, 2, 3]);
  const nothing = ({ images }: { images: Tensor }) => fill([images.shape[0]!], 0);

  test.each(["classic", "dynamo"])("samples of the U-Net of the %s exporter are those of ours", async (exporter) => {
    const prompts = ["a cat", "a dog", "a cat"];
    const [ours, theirs] = await Promise.all([native(), ofText(exporter)].map((file) => prepare(configOf(file))));
    const [want, got] = [await samplesOf(ours!, undefined, prompts), await samplesOf(theirs!, undefined, prompts)];
    expect(relativeError(got, want)).toBeLessThan(1e-4); // four steps of float32
    const lora = initialize(
      Object.fromEntries(
        Object.entries(ours!.adaptation.init(new Rng(2))).map(([name, { shape }]) => [
          name,
          { shape, init: { normal: 0.3 } },
        ]),
      ),
      new Rng(3),
    );
    const [wantAligned, gotAligned] = [await samplesOf(ours!, lora, prompts), await samplesOf(theirs!, lora, prompts)];
    expect(relativeError(gotAligned, wantAligned)).toBeLessThan(1e-4);
    expect(relativeError(gotAligned, got)).toBeGreaterThan(0.01);
  });

  const ups = (policy: NamedArrays) =>
    Object.entries(policy).flatMap(([name, { data }]) => (name.endsWith(".lora_B.weight") ? [data] : []));
  const moved = ({ finished, steps, policy }: Training) => {
    expect(finished).toBe(true);
    for (const { losses } of steps) expect(Object.values(losses).every(Number.isFinite)).toBe(true);
    for (const data of ups(policy)) expect(data.some((value) => value !== 0)).toBe(true);
  };

  test("the exported U-Net: its first update is that of ours, and three move its LoRA", async () => {
    const [one, three] = [configOf(native(), "train.updates=1"), configOf(ofText("classic"), "train.updates=3")];
    const want = await train(one, { parts: await rewarded(one, brightness) });
    const got = await train(three, { parts: await rewarded(three, brightness) });
    expect(Object.keys(got.policy).sort()).toEqual(Object.keys(want.policy).sort());
    const first = ({ steps: [step] }: Training) => [
      step!.reward!,
      step!.losses["policy.forward"]!,
      step!.gradientNorm.policy!,
    ];
    expect(relativeError(first(got), first(want), 1e-3)).toBeLessThan(1e-3);
    moved(got);
  });

  test("the exported DiT: three updates move its LoRA, and the run is opened and exported under diffusers' names", async () => {
    const config = configOf(ofClasses("dynamo"), "train.updates=3");
    const path = join(scratch, "dit-run");
    const run = await train(config, { parts: await rewarded(config, brightness), path });
    moved(run);
    await writeSafetensorsFile(join(path, "final.safetensors"), run.policy);
    const { parts, policy } = await openModel(path);
    const opened = await samplesOf({ ...run.parts, ...parts }, policy, ["a dog"]);
    expect(opened).toEqual(await samplesOf(run.parts, run.policy, ["a dog"]));
    const { lora } = await loraOfRun(path);
    const modules = [
      "pos_embed.proj",
      ...[0, 1].map((k) => `transformer_blocks.${k}.attn1.to_q`),
      ...[0, 1].map((k) => `transformer_blocks.${k}.norm1.emb.timestep_embedder.linear_1`),
    ];
    expect(new Set(Object.keys(lora))).toEqual(new Set(modules.map((name) => `transformer.${name}`)));
    expect(Object.values(lora).every((module) => module.alpha === 3 && module.rank === 2)).toBe(true);
  });

  test.each([
    ["U-Net", () => ofText("dynamo")],
    ["DiT", () => ofClasses("classic")],
  ])("%s: a reward of zero changes nothing", async (_, file) => {
    const decay = ["train.optimizer.weightDecay=0", "train.flowOptimizer.weightDecay=0"];
    const config = configOf(file(), ...decay);
    const { policy, parts } = await train(config, { parts: await rewarded(config, nothing) });
    for (const data of ups(policy)) expect(data.every((value) => value === 0)).toBe(true);
    expect(await samplesOf(parts, policy, ["a cat"])).toEqual(await samplesOf(parts, undefined, ["a cat"]));
  });
});

/** y = (conv(x)·kernel·otherᵀ)·t/1000: a kernel as MatMul has it, a weight that a node transposes, and a convolution. */
interface Plain {
  weights?: Record<string, Float32Array>;
  x?: readonly (number | string)[];
  t?: readonly (number | string)[];
  timeType?: TensorProto_DataType;
  names?: readonly [string, string];
  outputs?: readonly string[];
}
const shapes = { "first.weight": [3, 3, 3, 3], kernel: [4, 4], "other.weight": [4, 4] };
const plainWeights = () =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape], k) => [name, wave(shape, k).map((v) => v / 4)]));
function plainFile(
  name: string,
  { weights = plainWeights(), x, t, timeType = TensorProto_DataType.INT64, names, outputs }: Plain = {},
): string {
  const path = join(scratch, name);
  const [first, second] = names ?? ["", ""];
  const stored = Object.entries(weights).map(([key, data]) =>
    floatTensor(key, data, shapes[key as keyof typeof shapes]),
  );
  const bytes = modelBytes({
    opset: 17,
    inputs: [floatInput("sample", x ?? ["n", 3, 4, 4]), typedInput("timestep", t ?? ["n"], timeType)],
    initializers: [...stored, intTensor("sizes", [-1, 1, 1, 1]), floatTensor("thousand", [1000], [])],
    nodes: [
      node("Conv", ["sample", "first.weight"], ["c"], { pads: [1, 1, 1, 1] }),
      { ...node("MatMul", ["c", "kernel"], ["m"]), name: first },
      node("Transpose", ["other.weight"], ["turned"], { perm: [1, 0] }),
      { ...node("MatMul", ["m", "turned"], ["o"]), name: second },
      node("Cast", ["timestep"], ["f"], { to: 1 }),
      node("Reshape", ["f", "sizes"], ["r"]),
      node("Div", ["r", "thousand"], ["scale"]),
      node("Mul", ["o", "scale"], ["y"]),
      node("GlobalAveragePool", ["y"], ["means"]),
    ],
    outputs: outputs ?? ["y"],
  });
  writeFileSync(path, bytes);
  return path;
}
const plainData = (path: string): Data => ({ path, scheduler: schedule });
/** The prediction for three samples at the times given. */
function predicted(
  model: Model,
  bind: (frozen: Params) => Params = (frozen) => frozen,
  t: readonly number[] = [10, 20, 30],
): Float64Array {
  const x = input("x", [3, ...model.shape]);
  const time = { t: input("t", [3]), alphaBar: fill([3], 0), progress: fill([3], 0) };
  const y = model.predict(bind(asConstants(model.weights)), x, time, {});
  return Float64Array.from(evaluate([y], { x: wave(x.shape, 2), t })[0]!);
}

describe("weights of other files", () => {
  test("a LoRA is W + (α/r)·B·A, however the file stores W", async () => {
    const model = await load(plainData(plainFile("plain.onnx")));
    const adaptation = model.adaptation({ mode: "lora", rank: 2, alpha: 3, targets: ["first", "kernel", "other"] });
    const lora = Object.fromEntries(
      Object.entries(adaptation.init(new Rng(0))).map(([name, { shape }], k) => [
        name,
        { shape, data: wave(shape, k) },
      ]),
    );
    const merged = plainWeights();
    for (const [name, turned] of [
      ["first.weight", false],
      ["kernel", true],
      ["other.weight", false],
    ] as const) {
      const [down, up] = ["A", "B"].map((part) => lora[`unet.${name.replace(".weight", "")}.lora_${part}.weight`]!);
      const { data } = loraDelta({ down: down!, up: up!, alpha: 3, rank: 2 });
      // kernel is [in, out]
      merged[name] = merged[name]!.map((w, k) => w + data[turned ? (k % 4) * 4 + Math.floor(k / 4) : k]!);
    }
    const want = predicted(await load(plainData(plainFile("merged.onnx", { weights: merged }))));
    const got = predicted(model, (frozen) => adaptation.bind(frozen, asConstants(lora)));
    expect(relativeError(got, want)).toBeLessThan(1e-6); // the merged weights are float32
    expect(relativeError(got, predicted(model))).toBeGreaterThan(0.1);
  });

  test("mode full trains the file's own arrays, those of the modules that match", async () => {
    const model = await load(plainData(plainFile("plain.onnx")));
    const adaptation = model.adaptation({ mode: "full", rank: 1, alpha: 1, targets: ["kernel", "fir*"] });
    const own = adaptation.init(new Rng(0));
    expect(Object.keys(own)).toEqual(["denoiser.first.weight", "denoiser.kernel"]);
    expect(predicted(model, (frozen) => adaptation.bind(frozen, asConstants(own)))).toEqual(predicted(model));
    const twice = Object.fromEntries(
      Object.entries(own).map(([name, { shape, data }]) => [name, { shape, data: data.map((w) => 2 * w) }]),
    );
    const got = predicted(model, (frozen) => adaptation.bind(frozen, asConstants(twice)));
    expect(
      relativeError(
        got,
        predicted(model).map((y) => 4 * y),
      ),
    ).toBeLessThan(1e-12);
  });

  test("a module is called after its weight, else after its place, else after its tensor", async () => {
    const named = async (names?: Plain["names"]) => [
      ...onnxModules(await openOnnxFile(plainFile("named.onnx", names ? { names } : {}))).modules.keys(),
    ];
    expect(await named()).toEqual(["first", "kernel", "other"]);
    expect(await named(["/block.0/to_q/MatMul", "/block.0/to_q/MatMul_1"])).toEqual(["first", "block.0.to_q", "other"]);
  });

  test("files for one sample, or one time, at once give what an open file gives", async () => {
    const want = predicted(await load(plainData(plainFile("plain.onnx"))));
    for (const [k, axes] of [{ x: [1, 3, 4, 4], t: [1] }, { t: [] }, { x: [3, 3, 4, 4], t: [3] }].entries()) {
      const model = await load(plainData(plainFile(`closed-${k}.onnx`, axes)));
      expect(predicted(model)).toEqual(want);
    }
  });
});

test("times between train times are rounded where the file wants whole numbers, and only there", async () => {
  const same = (params: Params) => params;
  const between = [9.6, 20.4, 30];
  const whole = await load(plainData(plainFile("plain.onnx")));
  expect(predicted(whole, same, between)).toEqual(predicted(whole));
  for (const t of [["n"], []]) {
    const file = plainFile("float.onnx", { timeType: TensorProto_DataType.FLOAT, t });
    const floats = predicted(await load(plainData(file)), same, between);
    const scale = [0.96, 1.02, 1];
    const want = predicted(whole).map((y, k) => y * scale[Math.floor(k / 48)]!);
    expect(relativeError(floats, want)).toBeLessThan(1e-12);
  }
});

describe("what does not fit is refused", () => {
  const refused = async (data: Data, message: RegExp) => {
    await expect(load(data)).rejects.toThrow(ConfigError);
    await expect(load(data)).rejects.toThrow(message);
  };
  const plain = () => plainData(plainFile("refused.onnx"));

  test("options and a file that disagree", async () => {
    await refused({ ...plain(), codec: "pixel-unshuffle" }, /takes states of 12 channels, but these have 3/);
    await refused({ ...plain(), shape: [3, 8, 8] }, /model\.shape: .* which \[3,8,8\] does not fit/);
    await refused({ ...plain(), inputs: { state: "x" } }, /model\.inputs\.state: .* no input "x"/);
    await refused({ ...plain(), output: "z" }, /no output "z"\. It has y/);
    await refused({ ...plain(), condition: classes }, /model\.inputs\.condition: 0 inputs .* could be the condition/);
    await refused(plainData(plainFile("open.onnx", { x: ["n", 3, "h", "w"] })), /give \[channels, height, width\]/);
    await refused(plainData(plainFile("two.onnx", { outputs: ["y", "o"] })), /several outputs; give one of y, o/);
    await refused(plainData(plainFile("shape.onnx", { outputs: ["means"] })), /twice its channels, but "means"/);
    await refused(plainData(plainFile("pairs.onnx", { x: [2, 3, 4, 4], t: [] })), /time of its own/);
    await refused(
      { ...ditData("classic"), condition: { kind: "none" } },
      /also needs "class_labels".*model\.condition/,
    );
    await refused(
      { ...unetData("dynamo"), condition: { kind: "text", path: "assets/models/animals-32" } },
      /model\.condition: "encoder_hidden_states" .*\[\?, 5, 6\], .*16 tokens of 96 numbers/,
    );
  });

  test("prompts, and targets", async () => {
    const [nothing, ofClasses] = [await load(plain()), await load(ditData("classic"))];
    expect(() => nothing.tokenize(["a cat"])).toThrow(/takes no prompt/);
    expect(() => ofClasses.tokenize(["a cta"])).toThrow(/did you mean "a cat"/);
    const { unconditional: _, ...withoutNull } = classes;
    const unguided = await load({ ...ditData("classic"), condition: withoutNull });
    expect(() => unguided.tokenize(["a cat", ""])).toThrow(/model\.condition\.unconditional, or sampler\.guidance: 1/);
    const lora = (targets: string[]) => () => ofClasses.adaptation({ mode: "lora", rank: 1, alpha: 1, targets });
    expect(lora(["*.to_qq"])).toThrow(/did you mean "\*\.to_q"/);
    const full = () => nothing.adaptation({ mode: "full", rank: 1, alpha: 1, targets: ["*.to_q"] });
    expect(full).toThrow(/match no module.*first, kernel, other/);
  });

  test("an export of modules that the file gives no names", async () => {
    const weights = plainWeights();
    const path = plainFile("nameless.onnx", { weights: { ...weights, kernel: weights.kernel! } });
    const file = readFileSync(path);
    const renamed = join(scratch, "val.onnx");
    writeFileSync(renamed, Buffer.from(file.toString("latin1").replaceAll("kernel", "val_53"), "latin1"));
    const config = configOf({
      model: { kind: "onnx", ...plainData(renamed) },
      reward: { kind: "style-score" },
      finetune: { targets: ["val_53"] },
    });
    const run = join(scratch, "nameless-run");
    (await openRunDirectory(run, config, { resume: false })).release();
    const { adaptation } = await prepare(config);
    await writeSafetensorsFile(join(run, "final.safetensors"), adaptation.init(new Rng(0)));
    await expect(loraOfRun(run)).rejects.toThrow(/has only "unet\.val_53" for one/);
  });
});

test("judges see pictures of any size, and judge no prompt that names nothing they know", async () => {
  const runtime = nodeRuntime({ threads: 1 });
  const small = await openPictureJudges(runtime, 2, [3, 8, 8]);
  const usual = await openPictureJudges(runtime, 2);
  const images = wave([3, 3, 8, 8]).map((v) => 0.5 + v / 4);
  const [seen] = evaluate([resize(input("x", [3, 3, 8, 8]), [32, 32], { mode: "bilinear", antialias: true })], {
    x: images,
  });
  const [got, want] = [await small.features(images), await usual.features(Float32Array.from(seen!))];
  expect(relativeError(got.data, want.data)).toBeLessThan(1e-4);
  expect(await small.agreement!(images, ["", "", ""])).toBeUndefined();
  expect(await small.agreement!(images, ["a cat", "a dog", "a fox"])).toHaveLength(3);
});
