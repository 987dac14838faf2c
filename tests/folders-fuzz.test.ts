import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { describePath } from "../src/cli/describe-path.ts";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { loadPictures } from "../src/data/pictures.ts";
import { encodePng } from "../src/images/index.ts";
import { parseClipTextConfig } from "../src/models/clip-text.ts";
import { parseConvnetConfig } from "../src/models/convnet.ts";
import { parseUNetConfig } from "../src/models/unet.ts";
import { openWeights, readDiffusersFolder, writeDiffusersFolder } from "../src/weights/index.ts";
import { parseJsonObject } from "../src/weights/parse-json.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever stands in the files of a model's folder, it is read, described or refused by name; no file outside is opened. See fuzz.ts.

const short = 200;
const timeout = fuzzTimeout(short);
const golden = (path: string) => fileURLToPath(new URL(`golden/${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "nablaflow-folders-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file's text with changed structure or changed bytes. */
const changedText = (text: string) =>
  fc.oneof(
    { weight: 2, arbitrary: jsonMutations.map((changes) => mutatedJson(text, changes)) },
    mutations.map((changes) => changes.reduce(mutated, new TextEncoder().encode(text))),
  );

const shards = join(folder, "shards");
cpSync(golden("sharded"), shards, { recursive: true });
const indexName = "diffusion_pytorch_model.safetensors.index.json";
const index = readFileSync(join(shards, indexName), "utf8");

test(
  "the index of shards",
  () =>
    fuzz(
      changedText(index),
      (text) => {
        const path = join(shards, indexName);
        writeFileSync(path, text);
        return reads(
          async () => {
            const file = await openWeights(path);
            try {
              for (const name of file.tensors.keys()) expect((await file.read(name)).data.length).toBeGreaterThan(0);
            } finally {
              await file.close();
            }
          },
          { naming: shards },
        );
      },
      { short, least: 0.02 },
    ),
  timeout,
);

const array = { w: { shape: [2], data: Float32Array.of(1, 2) } };
const unetConfig = JSON.parse(readFileSync(golden("unet/mixed.config.json"), "utf8"));
const textConfig = { hidden_size: 8, vocab_size: 10, num_hidden_layers: 1 };
const model = join(folder, "model");
mkdirSync(join(folder, "tokenizer"));
await writeDiffusersFolder(model, {
  unet: { config: unetConfig, weights: array },
  textEncoder: { config: textConfig, weights: array },
  scheduler: { _class_name: "DDIMScheduler", beta_schedule: "linear" },
  codec: { kind: "pixels" },
  tokenizer: join(folder, "tokenizer"),
});
const texts = readdirSync(model, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".json"))
  .map((name) => ({ name, text: readFileSync(join(model, name), "utf8") }));
const networks = ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"].map((name) => ({
  name,
  bytes: new Uint8Array(readFileSync(join(model, name))),
}));

/** Reads and describes the folder with one file changed. */
async function survives(name: string, changed: string | Uint8Array, original: string | Uint8Array): Promise<boolean> {
  writeFileSync(join(model, name), changed);
  try {
    const refusal = { naming: model, errors: [FormatError, ConfigError] };
    const read = await reads(() => readDiffusersFolder(model), refusal);
    return (await reads(async () => JSON.stringify(await describePath(model)), refusal)) && read;
  } finally {
    writeFileSync(join(model, name), original);
  }
}

describe("a diffusers folder", () => {
  const place = fc.constantFrom(...texts);
  test(
    "with a changed JSON file",
    () =>
      fuzz(
        place.chain(({ name, text }) => changedText(text).map((changed) => ({ name, text, changed }))),
        ({ name, text, changed }) => survives(name, changed, text),
        { short, least: 0.1 },
      ),
    timeout,
  );

  test(
    "with changed weights",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(...networks), mutations),
        ([{ name, bytes }, changes]) => survives(name, changes.reduce(mutated, bytes), bytes),
        { short },
      ),
    timeout,
  );
});

const configs = [
  { name: "unet/config.json", text: JSON.stringify(unetConfig), parse: parseUNetConfig },
  ...["gelu", "quick-gelu"].map((kind) => ({
    name: "text_encoder/config.json",
    text: readFileSync(golden(`clip-text/${kind}/config.json`), "utf8"),
    parse: parseClipTextConfig,
  })),
  {
    name: "config.json",
    text: readFileSync(fileURLToPath(new URL("../assets/models/style-score/config.json", import.meta.url)), "utf8"),
    parse: parseConvnetConfig,
  },
];

test(
  "configurations of networks",
  () =>
    fuzz(
      fc
        .constantFrom(...configs)
        .chain(({ name, text, parse }) => changedText(text).map((changed) => ({ name, changed, parse }))),
      ({ name, changed, parse }) => {
        const bytes = typeof changed === "string" ? new TextEncoder().encode(changed) : changed;
        return reads(() => parse(parseJsonObject(bytes, name), name), {
          naming: name,
          errors: [FormatError, ConfigError],
        });
      },
      { short: 2000, least: 0.1 },
    ),
  timeout,
);

const pictures = join(folder, "pictures");
mkdirSync(pictures);
writeFileSync(
  join(pictures, "a.png"),
  await encodePng({ width: 128, height: 64, channels: 4, data: new Uint8Array(4 * 128 * 64) }),
);
const style = { style: "flat", family: "flat", split: "train", sheet: "a.png", source: "here", licence: "CC0-1.0" };
const picturesIndex = JSON.stringify({
  format: "nablaflow-pictures-1",
  cell: 64,
  columns: 2,
  animals: ["cat", "dog"],
  styles: [style],
  pictures: [{ animal: "dog", style: "flat", view: "face", cell: 1, icon: "x" }],
});

test(
  "the index of a set of pictures",
  () =>
    fuzz(
      changedText(picturesIndex),
      (text) => {
        writeFileSync(join(pictures, "index.json"), text);
        return reads(async () => {
          for (const { label, filtered } of (await loadPictures(pictures)).pictures) {
            expect([label < 3, filtered.length]).toEqual([true, 64 * 64 * 4]);
          }
        });
      },
      { short: 300, least: 0.003 },
    ),
  timeout,
);
