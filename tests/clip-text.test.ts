import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { clipText, clipTextSpecs, clipTextWeights, parseClipTextConfig } from "../src/models/clip-text.ts";
import { asConstants } from "../src/nn/index.ts";
import { evaluate, input, sizeOf } from "../src/tensor/index.ts";
import { readSafetensorsFile } from "../src/weights/index.ts";
import { relativeError } from "./tolerances.ts";

const folder = new URL("./golden/clip-text/", import.meta.url).pathname;
const readJson = (name: string) => JSON.parse(readFileSync(folder + name, "utf8"));
const ids: number[][] = readJson("provenance.json").ids;
const shapesOf = (named: Readonly<Record<string, { shape: readonly number[] }>>) =>
  Object.fromEntries(Object.entries(named).map(([name, { shape }]) => [name, shape]));

describe.each(["quick-gelu", "gelu"])("against transformers: %s", (name) => {
  test("parameter names, shapes and output", async () => {
    const config = parseClipTextConfig(readJson(`${name}/config.json`));
    const weights = clipTextWeights((await readSafetensorsFile(`${folder}${name}/model.safetensors`)).tensors);
    const { output } = (await readSafetensorsFile(`${folder}${name}/values.safetensors`)).tensors;
    expect(shapesOf(clipTextSpecs(config))).toEqual(shapesOf(weights));
    expect(clipTextWeights(weights)).toEqual(weights);
    const y = clipText(asConstants(weights), config, input("ids", [ids.length, ids[0]!.length], "int32"));
    expect(y.shape).toEqual(output!.shape);
    expect(relativeError(evaluate([y], { ids: ids.flat() })[0]!, output!.data)).toBeLessThan(1e-5);
  });
});

test("the text tower of CLIP ViT-L/14 has 123,060,480 parameters", () => {
  const config = parseClipTextConfig({ hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12 });
  const count = Object.values(clipTextSpecs(config)).reduce((n, { shape }) => n + sizeOf(shape), 0);
  expect(count).toBe(123_060_480);
});
