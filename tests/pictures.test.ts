import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import {
  AUGMENT_UNIFORMS,
  augment,
  BACKGROUNDS,
  DETAIL_SHARES,
  defaultAugmentation,
  loadPictures,
  promptOf,
  promptWords,
  readPromptFile,
  STYLE_WORDS,
  splitOf,
  trainingBatch,
} from "../src/data/index.ts";
import { decodePng } from "../src/images/index.ts";

const FOLDER = "assets/pictures/animals-32";
const all = await loadPictures(FOLDER);
const train = splitOf(all, "train");
const PIXELS = 32 * 32;
const neutral = { ...defaultAugmentation, shift: 0, maxRotationDeg: 0, maxHueDeg: 0, saturation: 0, brightness: 0 };
const middle = new Float64Array(AUGMENT_UNIFORMS).fill(0.5);

function animalsOf(style: string): string[] {
  const index = all.styles.findIndex((candidate) => candidate.style === style);
  return all.animals.filter((animal) => all.pictures.some((p) => p.animal === animal && p.style === index));
}

describe("the set", () => {
  test("has the 45 animals of animals.txt", async () => {
    expect(all.animals).toHaveLength(45);
    expect(all.animals).toEqual(await readPromptFile(join(FOLDER, "animals.txt")));
  });

  test("shows every animal in every style, apart from the ones that the icon sets lack", () => {
    const missing = all.styles.map(({ style }) => {
      const has = animalsOf(style);
      return [style, all.animals.filter((animal) => !has.includes(animal)).join(" ")];
    });
    const newer = "zebra raccoon goose fly llama hedgehog kangaroo"; // drawn after noto-v1 and emojione ended
    expect(Object.fromEntries(missing)).toEqual({
      noto: "",
      "noto-v1": newer,
      fxemoji:
        "rabbit zebra deer lion raccoon fox lizard butterfly shark duck goose turkey fly llama bat gorilla hedgehog kangaroo",
      "fluent-emoji-flat": "",
      "fluent-emoji": "",
      twemoji: "",
      emojione: newer,
    });
  });

  test("never has one family in both splits, and no share-alike licence", () => {
    const families = (split: string) => new Set(all.styles.filter((s) => s.split === split).map((s) => s.family));
    expect(families("train")).toEqual(new Set(["noto", "fxemoji", "fluent"]));
    expect(families("test")).toEqual(new Set(["twemoji", "emojione"]));
    for (const { licence } of all.styles) expect(["Apache-2.0", "MIT", "CC-BY-4.0"]).toContain(licence);
  });

  test("has at least three contrasting backgrounds for every picture", () => {
    for (const { contrast } of all.pictures) {
      expect(contrast.filter((distance) => distance >= defaultAugmentation.minContrast).length).toBeGreaterThanOrEqual(
        3,
      );
    }
  });

  test("an index that is not ours, or that points outside its sheets, is refused", async () => {
    const dir = await mkdtemp(join(tmpdir(), "pictures-"));
    const index = JSON.parse(await readFile(join(FOLDER, "index.json"), "utf8"));
    for (const { sheet } of index.styles) await writeFile(join(dir, sheet), await readFile(join(FOLDER, sheet)));
    const load = async (changes: object) => {
      await writeFile(join(dir, "index.json"), JSON.stringify({ ...index, ...changes }));
      return loadPictures(dir);
    };
    const [first] = index.pictures;
    expect((await load({})).pictures).toHaveLength(index.pictures.length);
    await expect(load({ format: "other" })).rejects.toThrow(FormatError);
    await expect(load({ pictures: [{ ...first, cell: 5000 }] })).rejects.toThrow(FormatError);
    await expect(load({ pictures: [{ ...first, animal: "unicorn" }] })).rejects.toThrow(FormatError);
    await expect(load({ styles: [{ ...index.styles[0], sheet: "../noto.png" }] })).rejects.toThrow(FormatError);
  });
});

describe("augmentation", () => {
  test("without changes is the mean of each 2×2 block of the drawing over its background", async () => {
    const sheet = await decodePng(await readFile(join(FOLDER, "noto.png")));
    const out = new Float32Array(3 * PIXELS);
    const picture = train.pictures[0]!; // cell 0 of noto.png
    const u = middle.slice();
    u[0] = 0.9; // not mirrored
    const { rgb } = BACKGROUNDS[augment(picture, u, out, 0, { ...neutral, minScale: 1 })]!;
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        for (let channel = 0; channel < 3; channel++) {
          let mean = 0;
          for (const [dx, dy] of [
            [0, 0],
            [1, 0],
            [0, 1],
            [1, 1],
          ] as const) {
            const at = ((2 * y + dy) * sheet.width + 2 * x + dx) * 4;
            const alpha = sheet.data[at + 3]! / 255;
            mean += ((sheet.data[at + channel]! / 255) * alpha + (1 - alpha) * rgb[channel]!) / 4;
          }
          expect(Math.abs(out[channel * PIXELS + y * 32 + x]! - mean)).toBeLessThan(1e-6); // float32 rounding
        }
      }
    }
  });

  test("mirroring the picture, the shift and the turn gives the mirrored result", () => {
    const [one, other] = [new Float32Array(3 * PIXELS), new Float32Array(3 * PIXELS)];
    for (const picture of train.pictures.filter((_, at) => at % 20 === 0)) {
      const u = new Rng(3).uniform(AUGMENT_UNIFORMS, { purpose: "test", sample: picture.label });
      const mirrored = u.map((value, at) => (at === 0 || at === 2 || at === 4 ? 1 - value : value));
      expect(augment(picture, mirrored, other, 0)).toBe(augment(picture, u, one, 0));
      for (let at = 0; at < one.length; at++) {
        expect(Math.abs(one[at]! - other[at - (at % 32) + 31 - (at % 32)]!)).toBeLessThan(1e-5);
      }
    }
  });

  test("hue and saturation leave grey as it is; brightness scales it", () => {
    const grey = new Float32Array(64 * 64 * 4).map((_, at) => (at % 4 === 3 ? 1 : 0.5));
    const picture = { ...train.pictures[0]!, filtered: grey };
    const out = new Float32Array(3 * PIXELS);
    const u = new Rng(5).uniform(AUGMENT_UNIFORMS, { purpose: "test" });
    augment(picture, u, out, 0, { ...defaultAugmentation, maxHueDeg: 180, saturation: 1, brightness: 0.2 });
    const expected = 0.5 * (1 + (2 * u[7]! - 1) * 0.2);
    for (const channel of [0, 1, 2]) expect(out[channel * PIXELS + 16 * 32 + 16]).toBeCloseTo(expected, 6);
  });

  test("gives values in [0, 1] and writes its own part only", () => {
    const out = new Float32Array(3 * 3 * PIXELS).fill(9);
    for (let at = 0; at < train.pictures.length; at++) {
      const u = new Rng(7).uniform(AUGMENT_UNIFORMS, { purpose: "test", sample: at });
      augment(train.pictures[at]!, u, out, 3 * PIXELS);
      const part = out.subarray(3 * PIXELS, 6 * PIXELS);
      expect(part.every((value) => value >= 0 && value <= 1)).toBe(true);
    }
    expect(out.subarray(0, 3 * PIXELS).every((value) => value === 9)).toBe(true);
    expect(out.subarray(6 * PIXELS).every((value) => value === 9)).toBe(true);
  });

  test("the background always stands out from the rim of the drawing, and white comes in its share where it may", () => {
    const out = new Float32Array(3 * PIXELS);
    let white = 0;
    let couldBeWhite = 0;
    for (let at = 0; at < 3000; at++) {
      const picture = all.pictures[at % all.pictures.length]!;
      const u = new Rng(11).uniform(AUGMENT_UNIFORMS, { purpose: "test", sample: at });
      const background = augment(picture, u, out, 0);
      expect(picture.contrast[background]).toBeGreaterThanOrEqual(defaultAugmentation.minContrast);
      if (picture.contrast[0]! < defaultAugmentation.minContrast) continue;
      couldBeWhite++;
      if (background === 0) white++;
    }
    expect(Math.abs(white / couldBeWhite - 0.3)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / couldBeWhite)); // 4 sigma
  });
});

describe("training batches", () => {
  test("are a function of (seed, step, index)", () => {
    const batch = trainingBatch(train, new Rng(1), 4, 12);
    expect(trainingBatch(train, new Rng(1), 4, 12)).toEqual(batch);
    const shorter = trainingBatch(train, new Rng(1), 4, 5);
    expect(shorter.images).toEqual(batch.images.subarray(0, 5 * 3 * PIXELS));
    expect(shorter.prompts).toEqual(batch.prompts.slice(0, 5));
    expect(trainingBatch(train, new Rng(1), 5, 12).images).not.toEqual(batch.images);
    expect(trainingBatch(train, new Rng(2), 4, 12).images).not.toEqual(batch.images);
  });

  test("balance the animals, though one has many pictures and another few", () => {
    const [steps, batchSize] = [45, 100];
    const counts = new Array<number>(45).fill(0);
    for (let step = 0; step < steps; step++) {
      for (const label of trainingBatch(train, new Rng(1), step, batchSize).labels) counts[label]!++;
    }
    // Pearson's statistic over 45 equally likely animals: mean 44, standard deviation sqrt(88) = 9.4
    const statistic = counts.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
    expect(statistic).toBeLessThan(44 + 4 * Math.sqrt(88));
  });

  test("have prompts that are true of their pictures, plain ones most often", () => {
    const batch = trainingBatch(train, new Rng(1), 0, 1500);
    const tally = { plain: 0, style: 0, background: 0, both: 0 };
    batch.prompts.forEach((prompt, index) => {
      const animal = train.animals[batch.labels[index]!]!;
      const styleWord = STYLE_WORDS[train.styles[batch.styles[index]!]!.style]!;
      const named = / on (\w+)$/.exec(prompt)?.[1];
      const hasStyle = prompt.includes(` ${styleWord} `);
      expect(prompt).toBe(
        promptOf(animal, { ...(hasStyle && { styleWord }), ...(named !== undefined && { background: named }) }),
      );
      if (named !== undefined) {
        const { rgb } = BACKGROUNDS.find(({ name }) => name === named)!;
        const image = batch.images.subarray(index * 3 * PIXELS, (index + 1) * 3 * PIXELS);
        let share = 0;
        for (let at = 0; at < PIXELS; at++) {
          if (rgb.every((value, channel) => Math.abs(image[channel * PIXELS + at]! - value) < 1e-6))
            share += 1 / PIXELS;
        }
        expect(share).toBeGreaterThan(0.05);
      }
      tally[hasStyle ? (named ? "both" : "style") : named ? "background" : "plain"]++;
    });
    for (const kind of ["style", "background", "both"] as const) {
      const p = DETAIL_SHARES[kind];
      expect(Math.abs(tally[kind] / 1500 - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 1500)); // 4 sigma
    }
  });

  test("refuse a set without a picture of some animal", () => {
    const pictures = train.pictures.filter(({ animal }) => animal !== "fly");
    expect(() => trainingBatch({ ...train, pictures }, new Rng(1), 0, 1)).toThrow(ConfigError);
  });
});

describe("prompts", () => {
  test("take the article that the next word asks for", () => {
    expect(promptOf("cat")).toBe("a cat");
    expect(promptOf("ant")).toBe("an ant");
    expect(promptOf("ant", { styleWord: "flat", background: "blue" })).toBe("a flat ant on blue");
    expect(promptOf("cat", { background: "orange" })).toBe("a cat on orange");
  });

  test("use listed words only, each listed once", () => {
    const words = promptWords(train.animals);
    expect(new Set(words).size).toBe(words.length);
    const used = trainingBatch(train, new Rng(1), 0, 500).prompts.flatMap((prompt) => prompt.split(" "));
    for (const word of used) expect(words).toContain(word);
  });
});
