import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, type NamedArrays, Rng, ShapeError } from "../src/core/index.ts";
import { parseUNetConfig, unet, unetSpecs } from "../src/models/unet.ts";
import { asConstants, asInputs, initialize, loraSpecs, withLora } from "../src/nn/index.ts";
import { evaluate, gradient, input, sizeOf, vjp } from "../src/tensor/index.ts";
import { readSafetensorsFile } from "../src/weights/index.ts";
import { relativeError } from "./tolerances.ts";
import { stableDiffusion15 } from "./worlds/stable-diffusion.ts";
import { tinyUNet } from "./worlds/tiny-unet.ts";

const folder = new URL("./golden/unet/", import.meta.url).pathname;
const readArrays = async (name: string) => (await readSafetensorsFile(`${folder}${name}.safetensors`)).tensors;
const configOf = (name: string) => parseUNetConfig(JSON.parse(readFileSync(`${folder}${name}.config.json`, "utf8")));
const shapesOf = (named: Readonly<Record<string, { shape: readonly number[] }>>) =>
  Object.fromEntries(Object.entries(named).map(([name, { shape }]) => [name, shape]));
const feedsOf = (prefix: string, arrays: NamedArrays) =>
  Object.fromEntries(Object.entries(arrays).map(([name, { data }]) => [prefix + name, data]));

describe.each(["mixed", "linear-projection"])("against diffusers: %s", (name) => {
  test("parameter names and shapes", async () => {
    expect(shapesOf(unetSpecs(configOf(name)))).toEqual(shapesOf(await readArrays(`${name}.weights`)));
  });

  test("output, and gradient to x", async () => {
    const weights = await readArrays(`${name}.weights`);
    const values = await readArrays(`${name}.values`);
    const x = input("x", [2, 3, 8, 8]);
    const y = unet(asConstants(weights), configOf(name), x, input("t", [2]), input("text", [2, 5, 6]));
    const [dx] = vjp([y], [input("cotangent", y.shape)], [x]);
    const [output, dxValues] = evaluate([y, dx!], feedsOf("", values));
    expect(relativeError(output!, values.output!.data)).toBeLessThan(1e-5);
    expect(relativeError(dxValues!, values.gradient!.data)).toBeLessThan(1e-5);
  });
});

test("Stable Diffusion 1.5 has 859,520,964 parameters, and 1,594,368 in a rank-8 LoRA of its attentions", () => {
  const specs = unetSpecs(parseUNetConfig({ ...stableDiffusion15, _class_name: "UNet2DConditionModel" }));
  const count = (named: Readonly<Record<string, { shape: readonly number[] }>>) =>
    Object.values(named).reduce((n, { shape }) => n + sizeOf(shape), 0);
  expect(count(specs)).toBe(859_520_964);
  const shapesOnly = Object.fromEntries(
    Object.entries(specs).map(([name, { shape }]) => [name, { shape, data: new Float32Array(0) }]),
  );
  const lora = loraSpecs(shapesOnly, ["*.to_q", "*.to_k", "*.to_v", "*.to_out.0"], 8);
  expect(Object.keys(lora)).toHaveLength(256);
  expect(count(lora)).toBe(1_594_368);
});

describe("derivatives", () => {
  const config = parseUNetConfig(tinyUNet);
  const weights = initialize(unetSpecs(config), new Rng(3));
  const rng = new Rng(4);
  const feeds = {
    x: rng.normal(2 * 2 * 16, { purpose: "test" }),
    t: [10, 400],
    text: rng.normal(2 * 2 * 3, { purpose: "test", sample: 1 }),
    probe: rng.normal(2 * 2 * 16, { purpose: "test", sample: 2 }),
    ...feedsOf("p/", weights),
  };
  const params = asInputs(weights, "p/");
  const y = unet(params, config, input("x", [2, 2, 4, 4]), input("t", [2]), input("text", [2, 2, 3]));
  const loss = y.mul(input("probe", y.shape)).sum();

  test("gradients of parameters are central differences", () => {
    const names = [
      "conv_in.weight",
      "time_embedding.linear_1.weight",
      "down_blocks.0.downsamplers.0.conv.bias",
      "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
      "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight",
      "up_blocks.0.upsamplers.0.conv.weight",
      "up_blocks.1.resnets.1.norm1.weight",
    ];
    const gradients = evaluate(
      gradient(
        loss,
        names.map((name) => params[name]!),
      ),
      feeds,
    );
    const h = 1e-4;
    names.forEach((name, k) => {
      const at = (sign: number) => {
        const moved = Float64Array.from(weights[name]!.data);
        moved[1]! += sign * h;
        return evaluate([loss], { ...feeds, [`p/${name}`]: moved })[0]![0]!;
      };
      expect(relativeError([(at(1) - at(-1)) / (2 * h)], [gradients[k]![1]!])).toBeLessThan(1e-6);
      expect(gradients[k]![1]).not.toBe(0);
    });
  });

  test("a LoRA at its initial values changes nothing, and then only through B", () => {
    const targets = ["*.to_q", "*.proj_in", "*.downsamplers.0.conv", "*.linear_1"];
    const lora = initialize(loraSpecs(weights, targets, 2), new Rng(5));
    const bound = withLora(params, asInputs(lora, "l/"), 0.5);
    const adapted = unet(bound, config, input("x", [2, 2, 4, 4]), input("t", [2]), input("text", [2, 2, 3]));
    const adaptedLoss = adapted.mul(input("probe", y.shape)).sum();
    const all = { ...feeds, ...feedsOf("l/", lora) };
    const names = Object.keys(lora);
    const loraInputs = names.map((name) => (name.endsWith("lora_A.weight") ? bound[name]! : bound[name]!.inputs[0]!));
    const [before, after, ...gradients] = evaluate([y, adapted, ...gradient(adaptedLoss, loraInputs)], all);
    expect(after).toEqual(before);
    names.forEach((name, k) => {
      expect(gradients[k]!.some((g) => g !== 0)).toBe(name.endsWith("lora_B.weight"));
    });
  });
});

describe("what is not supported is refused", () => {
  const refusal = (change: object) => () => parseUNetConfig({ ...tinyUNet, ...change });
  test.each([
    [{ down_block_types: ["AttnDownBlock2D", "DownBlock2D"] }, /down_block_types\.0/],
    [{ up_block_types: ["UpBlock2D"] }, /up_block_types: needs one entry per level/],
    [{ act_fn: "gelu" }, /act_fn/],
    [{ addition_embed_type: "text_time" }, /addition_embed_type/],
    [{ norm_num_groups: 3 }, /norm_num_groups = 3/],
    [{ attention_head_dim: 3 }, /3 heads/],
    [{ layers_per_blok: 2 }, /did you mean "layers_per_block"/],
  ])("%o", (change, message) => {
    expect(refusal(change)).toThrow(ConfigError);
    expect(refusal(change)).toThrow(message);
  });

  test("sides that cannot be halved, and a target without a match", () => {
    const config = parseUNetConfig(tinyUNet);
    const weights = initialize(unetSpecs(config), new Rng(0));
    const at = (side: number) => () =>
      unet(asConstants(weights), config, input("x", [1, 2, side, 4]), input("t", [1]), input("text", [1, 2, 3]));
    expect(at(5)).toThrow(ShapeError);
    expect(() => loraSpecs(weights, ["*.to_qq"], 2)).toThrow(/did you mean "\*\.to_q"/);
  });
});
