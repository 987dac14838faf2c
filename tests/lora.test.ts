import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { clipTextSpecs, parseClipTextConfig } from "../src/models/clip-text.ts";
import { parseUNetConfig, unetSpecs } from "../src/models/unet.ts";
import {
  baseModules,
  compareLoras,
  type Lora,
  loraDelta,
  loraFormats,
  loraOf,
  mergeIntoFolder,
  readLora,
  sumOfLoras,
  writeLora,
} from "../src/weights/lora/index.ts";
import { readSafetensorsFile, writeSafetensorsFile } from "../src/weights/safetensors-file.ts";
import { relativeError } from "./tolerances.ts";
import { randomLora } from "./worlds/lora.ts";
import { stableDiffusion15 } from "./worlds/stable-diffusion.ts";

const folder = mkdtempSync(join(tmpdir(), "nablaflow-lora-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let made = 0;
const fresh = () => join(folder, String(made++));

const attention = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1";
const [toQ, toOut, conv] = [`${attention}.to_q`, `${attention}.to_out.0`, "unet.mid_block.resnets.0.conv1"];
const query = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj";
const shapes = {
  [toQ]: { rank: 2, alpha: 5, weight: [6, 4] },
  [toOut]: { rank: 2, alpha: 5, weight: [4, 6] },
  [conv]: { rank: 3, alpha: 1, weight: [4, 5, 3, 3] },
  [query]: { rank: 1, alpha: 2, weight: [3, 3] },
};
const lora = randomLora(shapes);
const worst = (a: Lora, b: Lora) => Math.max(...compareLoras(a, b).map(({ difference }) => difference));
const zeros = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
const content = (tensors: NamedArrays, metadata: Record<string, string> = {}) => ({ tensors, metadata });

describe.each(loraFormats)("%s", (format) => {
  test.each([
    ["F32", 1e-6],
    ["F16", 2e-3],
    ["BF16", 2e-2],
  ] as const)("what is written in %s changes the weights in the same way", async (dtype, tolerance) => {
    const out = fresh();
    await writeLora(out, lora, format, { dtype });
    expect(worst(await readLora(out), lora)).toBeLessThan(tolerance);
  });
});

test("kohya and peft files keep the alpha of the modules; diffusers files hold it in B", async () => {
  const one = { [toQ]: lora[toQ]!, [toOut]: lora[toOut]! };
  const alphas = await Promise.all(
    loraFormats.map(async (format) => {
      const out = fresh();
      await writeLora(out, one, format);
      return [format, (await readLora(out))[toQ]!.alpha];
    }),
  );
  expect(Object.fromEntries(alphas)).toEqual({ diffusers: 2, peft: 5, kohya: 5 });
});

test("a kohya file states the sha256 of its tensors' bytes, and its legacy hash", async () => {
  const out = fresh();
  await writeLora(out, lora, "kohya", { name: "style" });
  const bytes = readFileSync(join(out, "style.safetensors"));
  const { metadata } = await readSafetensorsFile(join(out, "style.safetensors"));
  const data = bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
  expect(metadata).toMatchObject({
    sshs_model_hash: createHash("sha256").update(data).digest("hex"),
    sshs_legacy_hash: "e3b0c442", // of no bytes: the file ends before 1 MiB
    ss_network_module: "networks.lora",
    ss_network_dim: "2",
    ss_network_alpha: "5",
  });
});

describe("names with underscores", () => {
  const unet = parseUNetConfig(stableDiffusion15);
  const text = parseClipTextConfig(
    JSON.parse(readFileSync("assets/models/animals-32/text_encoder/config.json", "utf8")),
  );
  const modulesOf = (specs: object) => Object.keys(specs).flatMap((name) => /^(.*)\.weight$/.exec(name)?.[1] ?? []);
  const read = (name: string, modules?: readonly string[]) => {
    const file = content({ [`${name}.lora_down.weight`]: zeros(1, 2), [`${name}.lora_up.weight`]: zeros(2, 1) });
    return Object.keys(loraOf(file, "file", { modules }))[0];
  };

  test("the known steps give back every module of Stable Diffusion 1.5 and its text encoder", () => {
    const names = [
      ...modulesOf(unetSpecs(unet)).map((name) => ["lora_unet", "unet", name] as const),
      ...modulesOf(clipTextSpecs(text)).map((name) => ["lora_te", "text_encoder", name] as const),
    ];
    expect(names.length).toBeGreaterThan(300);
    for (const [prefix, component, name] of names) {
      expect(read(`${prefix}_${name.replaceAll(".", "_")}`)).toBe(`${component}.${name}`);
    }
  });

  test.each([
    ["input_blocks_4_1_transformer_blocks_1_attn2_to_k", "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k"],
    ["input_blocks_8_0_in_layers_2", "down_blocks.2.resnets.1.conv1"],
    ["input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"],
    ["middle_block_1_proj_in", "mid_block.attentions.0.proj_in"],
    ["middle_block_2_out_layers_3", "mid_block.resnets.1.conv2"],
    [
      "output_blocks_5_1_transformer_blocks_0_ff_net_0_proj",
      "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj",
    ],
    ["output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"],
    ["output_blocks_0_0_skip_connection", "up_blocks.0.resnets.0.conv_shortcut"],
    ["input_blocks_0_0", "conv_in"],
    ["label_emb_0_2", "add_embedding.linear_2"],
  ])("SDXL: %s", (name, module) => {
    expect(read(`lora_unet_${name}`)).toBe(`unet.${module}`);
  });

  test("the modules of a network decide where they are given", () => {
    expect(read("lora_unet_my_own_layer", ["unet.my_own.layer"])).toBe("unet.my_own.layer");
    expect(() => read("lora_unet_my_own_layer", ["unet.my_own.layer", "unet.my.own_layer"])).toThrow(
      /my_own.layer or my.own/,
    );
    expect(() => read("lora_unet_my_own_layer")).toThrow(/unknown tensors: lora_unet_my_own_layer/);
    expect(() => read("lora_unet_conv_in", ["unet.conv_out"])).toThrow(FormatError);
    expect(() => read("lora_unet_constructor")).toThrow(FormatError);
  });
});

describe("strength", () => {
  const pair = (name: string, rank: number) => ({
    [`${name}.lora_A.weight`]: zeros(rank, 3),
    [`${name}.lora_B.weight`]: zeros(2, rank),
  });
  const metadata = (config: object) => ({
    lora_adapter_metadata: JSON.stringify(
      Object.fromEntries(Object.entries(config).map(([key, value]) => [`unet.${key}`, value])),
    ),
  });
  const alphas = (read: Lora) => Object.values(read).map(({ alpha }) => alpha);

  test("alpha is the rank when nothing states it, or a file says 0", () => {
    expect(alphas(loraOf(content(pair("unet.conv_in", 4)), "file"))).toEqual([4]);
    const zero = { ...pair("unet.conv_in", 4), "unet.conv_in.alpha": zeros() };
    expect(alphas(loraOf(content(zero), "file"))).toEqual([4]);
  });

  test("patterns, and alpha·√rank for rsLoRA", () => {
    const tensors = { ...pair("unet.a.to_q", 4), ...pair("unet.b.to_q", 9), ...pair("unet.b.x", 4) };
    const config = { r: 4, lora_alpha: 6, rank_pattern: { "^b\\.to_q": 9 }, alpha_pattern: { ".*.x": 2, to_q: 3 } };
    expect(alphas(loraOf(content(tensors, metadata(config)), "file"))).toEqual([3, 3, 2]);
    const rank = { ...config, use_rslora: true };
    expect(alphas(loraOf(content(tensors, metadata(rank)), "file"))).toEqual([6, 9, 4]);
  });

  test.each([
    [{ r: 4, lora_alpha: 4, use_dora: true }, /use_dora/],
    [{ r: 4, lora_alpha: 4, peft_type: "LOKR" }, /peft_type/],
    [{ r: 3, lora_alpha: 4 }, /rank 3 by the configuration, but A has 4/],
    [{ r: 4, lora_alpha: 4, alpha_pattern: { "(a+)+$": 1 } }, /pattern/],
  ])("%j is refused", (config, message) => {
    expect(() => loraOf(content(pair("unet.conv_in", 4), metadata(config)), "file")).toThrow(message);
  });

  test("a peft folder of a wrapped network: the prefix may stand twice", () => {
    const read = loraOf(content(pair("base_model.model.base_model.model.transformer_blocks.0.attn.to_q", 2)), "file");
    expect(Object.keys(read)).toEqual(["transformer.transformer_blocks.0.attn.to_q"]);
  });
});

describe("a file that is no LoRA is refused", () => {
  test.each([
    ["unknown tensors", { "unet.conv_in.hada_w1_a": zeros(2, 2) }, /unknown tensors: unet\.conv_in\.hada_w1_a/],
    ["half a pair", { "unet.conv_in.lora_A.weight": zeros(2, 2) }, /without A or without B: unet\.conv_in/],
    [
      "shapes that do not meet",
      { "unet.conv_in.lora_A.weight": zeros(2, 3), "unet.conv_in.lora_B.weight": zeros(4, 1) },
      /A is \[2,3\] and B is \[4,1\]/,
    ],
    [
      "NaN",
      {
        "unet.conv_in.lora_A.weight": { shape: [1, 1], data: Float32Array.of(Number.NaN) },
        "unet.conv_in.lora_B.weight": zeros(1, 1),
      },
      /not finite/,
    ],
    [
      "two names",
      {
        "unet.conv_in.lora_A.weight": zeros(1, 1),
        "unet.conv_in.lora.down.weight": zeros(1, 1),
        "unet.conv_in.lora_B.weight": zeros(1, 1),
      },
      /under two names/,
    ],
    ["DoRA", { "lora_unet_conv_in.dora_scale": zeros(1, 1) }, /DoRA/],
    ["nothing", {}, /no tensors/],
  ] as [string, NamedArrays, RegExp][])("%s", (_, tensors, message) => {
    expect(() => loraOf(content(tensors), "file")).toThrow(message);
  });

  test("files of torch, folders without a LoRA, and no file", async () => {
    mkdirSync(join(folder, "empty"));
    await expect(readLora(join(folder, "empty"))).rejects.toThrow(/holds nothing/);
    await expect(readLora(join(folder, "nowhere.safetensors"))).rejects.toThrow(ConfigError);
    writeFileSync(join(folder, "lora.bin"), "");
    await expect(readLora(join(folder, "lora.bin"))).rejects.toThrow(/can run code/);
  });
});

test("the sum of LoRAs adds the weighted sum of what each adds", () => {
  const other = randomLora({ [toQ]: { ...shapes[toQ]!, rank: 3 } }, 1);
  const sum = sumOfLoras([
    { lora, weight: 0.7 },
    { lora: other, weight: -2 },
  ]);
  expect(Object.keys(sum)).toEqual(Object.keys(lora).sort());
  expect(sum[toQ]!.rank).toBe(5);
  const [a, b] = [loraDelta(lora[toQ]!).data, loraDelta(other[toQ]!).data];
  expect(
    relativeError(
      loraDelta(sum[toQ]!).data,
      a.map((value, k) => 0.7 * value - 2 * b[k]!),
    ),
  ).toBeLessThan(1e-6);
  const convolution = loraDelta(lora[conv]!).data.map((value) => 0.7 * value);
  expect(relativeError(loraDelta(sum[conv]!).data, convolution)).toBeLessThan(1e-6);
  const wider = randomLora({ [toQ]: { ...shapes[toQ]!, weight: [6, 8] } });
  expect(() => compareLoras(lora, wider)).toThrow(/\[6,4\] in one and \[6,8\]/);
});

test("a convolution is seen to be B·A over its kernel", () => {
  const { down, up, alpha, rank } = lora[conv]!;
  const { shape, data } = loraDelta(lora[conv]!);
  expect(shape).toEqual([4, 5, 3, 3]);
  let element = 0; // [2, 3, 1, 0]
  for (let r = 0; r < rank; r++)
    element += (alpha / rank) * up.data[2 * rank + r]! * down.data[((r * 5 + 3) * 3 + 1) * 3]!;
  expect(data[((2 * 5 + 3) * 3 + 1) * 3]).toBeCloseTo(element, 12);
});

describe("merging into a folder", () => {
  const weights = {
    [`${attention.slice(5)}.to_q.weight`]: { shape: [6, 4], data: Float32Array.from({ length: 24 }, (_, k) => k / 8) },
    "conv_in.weight": { shape: [2, 1, 1, 1], data: Float32Array.of(1, 2) },
  };
  const one = { [toQ]: lora[toQ]! };
  const model = async (dtype: "F32" | "F16") => {
    const dir = fresh();
    mkdirSync(join(dir, "unet"), { recursive: true });
    writeFileSync(join(dir, "model_index.json"), "{}");
    await writeSafetensorsFile(join(dir, "unet", "diffusion_pytorch_model.safetensors"), weights, {}, dtype);
    return dir;
  };

  test.each([
    ["F32", 1e-6],
    ["F16", 1e-3],
  ] as const)("W + ΔW in %s; all else stays", async (dtype, tolerance) => {
    const [dir, out] = [await model(dtype), fresh()];
    expect([...(await baseModules(dir)).keys()].sort()).toEqual(["unet.conv_in", toQ]);
    await mergeIntoFolder(one, dir, out);
    expect(readdirSync(out).sort()).toEqual(["model_index.json", "unet"]);
    const { tensors } = await readSafetensorsFile(join(out, "unet", "diffusion_pytorch_model.safetensors"));
    const delta = loraDelta(lora[toQ]!).data;
    const name = `${attention.slice(5)}.to_q.weight`;
    expect(tensors[name]!.dtype).toBe(dtype);
    expect(
      relativeError(
        tensors[name]!.data,
        weights[name]!.data.map((w, k) => w + delta[k]!),
      ),
    ).toBeLessThan(tolerance);
    expect(tensors["conv_in.weight"]!.data).toEqual(weights["conv_in.weight"].data);
  });

  test("a LoRA for another network, and weights that would stay as they are, are refused and leave nothing", async () => {
    const [dir, out] = [await model("F32"), fresh()];
    await expect(mergeIntoFolder(lora, dir, out)).rejects.toThrow(/it has no unet\.mid_block\.resnets\.0\.conv1/);
    writeFileSync(join(dir, "unet", "diffusion_pytorch_model.bin"), "");
    await expect(mergeIntoFolder(one, dir, out)).rejects.toThrow(/diffusion_pytorch_model\.bin/);
    expect(readdirSync(folder).filter((name) => name.startsWith(out.split("/").at(-1)!))).toEqual([]);
  });
});
