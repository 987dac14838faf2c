import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { Rng } from "../src/core/rng.ts";
import { encodePng } from "../src/images/index.ts";
import { logDomain } from "../src/report/axes.ts";
import { duration, percent, significant } from "../src/report/format.ts";
import { html } from "../src/report/html.ts";
import { writeReport } from "../src/report/index.ts";
import { linearTicks, logTicks } from "../src/report/ticks.ts";
import { verdict } from "../src/report/verdict.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "nabla-report-"));
});
afterAll(() => rm(root, { recursive: true }));

const HOSTILE = `<script>alert("x")</script> & 'cat'`;

const before = { reward: 4.2, rewardStd: 0.8, diversity: 0.6, promptAgreement: 0.9, images: 720, seeds: 16 };
const after = { ...before, reward: 5.24, diversity: 0.552, priorDistance: 0.0119, priorDistanceFloor: 0.0003 };
const thirdParty = {
  before: { ...before, diversityThirdParty: 0.4 },
  after: { ...after, diversityThirdParty: 0.38 },
};

const exact = {
  ...{ meanReward: -0.79, modeTV: 0.071, energyDistance: 0.02, withinStdRatio: 1.04, elbo: -1.62, importanceEss: 0.82 },
  target: { meanReward: -0.74, modeTV: 0, energyDistance: 0, withinStdRatio: 1 },
  floor: { meanReward: -0.76, modeTV: 0.079, energyDistance: 0.01, withinStdRatio: 1.02, ess: 1320 },
  pretrained: { meanReward: -2.61, modeTV: 0.62, energyDistance: 0.41, withinStdRatio: 1.01 },
};

const step = (update: number) => ({
  type: "step",
  update,
  updates: 50,
  reward: 4 + update / 25,
  rewardStd: 0.8,
  losses: { "policy.forward": 3 * 0.9 ** update, "flow.reverse": 1.5 * 0.9 ** update, "flow.terminal": 0.9 ** update },
  gradientNorm: { policy: 1 / update, flow: 2 / update },
  seconds: 1,
});
const evaluation = (update: number) => ({
  type: "evaluation",
  update,
  reward: 4 + update / 25,
  diversity: 0.6,
  priorDistance: update / 5000,
});

type Files = Record<string, unknown>;

/** A run directory of these files; values that are neither text nor bytes are written as JSON. */
async function runOf(name: string, files: Files): Promise<string> {
  const directory = join(root, name);
  await mkdir(join(directory, "samples"), { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    const raw = typeof content === "string" || content instanceof Uint8Array;
    await writeFile(join(directory, file), raw ? content : JSON.stringify(content));
  }
  return directory;
}

const pageOf = async (name: string, files: Files) => readFile(await writeReport(await runOf(name, files)), "utf8");

/** Noise, which no compression makes smaller. */
async function picture(size: number, sample: number): Promise<Uint8Array> {
  const data = Uint8Array.from(new Rng(1).integers(size * size * 3, 256, { purpose: "test", sample }));
  return encodePng({ width: size, height: size, channels: 3, data });
}

/** samples/ with `count` pairs for each prompt; all show the same two pictures. */
async function samplesOf(prompts: readonly string[], count: number, size = 32): Promise<Files> {
  const index = prompts.flatMap((prompt) =>
    Array.from({ length: count }, (_, k) => ({
      prompt,
      seed: 1000 + k,
      before: { file: "a.png", reward: 4.25 },
      after: { file: "b.png", reward: 5.75 },
    })),
  );
  return {
    "samples/index.json": index,
    "samples/a.png": await picture(size, 1),
    "samples/b.png": await picture(size, 2),
  };
}

async function wholeRun(): Promise<Files> {
  const events = Array.from({ length: 50 }, (_, at) => [
    step(at + 1),
    ...(at % 10 === 9 ? [evaluation(at + 1)] : []),
  ]).flat();
  return {
    "config.json": {
      model: { kind: "diffusers", path: "assets/models/animals-32" },
      reward: { kind: "style-score" },
      prompts: [HOSTILE, "dog"],
    },
    "events.jsonl": `${events.map((event) => JSON.stringify(event)).join("\n")}\n{"type":"checkpoint","update":50,"path":"x"}\n{"type":"st`,
    "summary.json": { ...thirdParty, seconds: 2290 },
    ...(await samplesOf([HOSTILE, "dog"], 3)),
  };
}

const VOID = new Set(["meta", "link", "img"]);

/** Names of elements that are closed in the wrong order, never, or without having been opened. */
function misnested(page: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [, closing, name, rest] of page
    .replace(/<style>[\s\S]*?<\/style>/, "")
    .matchAll(/<(\/?)([a-z][a-z0-9]*)((?:[^>"]|"[^"]*")*)>/g)) {
    if (closing) {
      if (open.pop() !== name) wrong.push(name!);
    } else if (!VOID.has(name!) && !rest!.endsWith("/")) open.push(name!);
  }
  return [...wrong, ...open];
}

function expectSound(page: string): void {
  expect(misnested(page)).toEqual([]);
  expect(page).not.toMatch(/<script|\son[a-z]+="|\sstyle="|javascript:/i);
  expect(page).not.toMatch(/https?:\/\/|@import|url\(/);
  for (const [, address] of page.matchAll(/\s(?:src|href)="([^"]*)"/g)) expect(address).toMatch(/^(?:data:image\/|#)/);
  const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, references] of page.matchAll(/\saria-labelledby="([^"]*)"/g)) {
    for (const reference of references!.split(" ")) expect(ids).toContain(reference);
  }
  const levels = [...page.matchAll(/<h([1-6])/g)].map(([, level]) => Number(level));
  expect(levels.filter((level) => level === 1)).toHaveLength(1);
  for (const [at, level] of levels.slice(1).entries()) expect(level - levels[at]!).toBeLessThanOrEqual(1);
  for (const table of page.match(/<table[\s\S]*?<\/table>/g) ?? []) {
    expect(table).toContain("<caption");
    expect(table).not.toMatch(/<th(?! scope="(?:col|row)")[ >]/);
  }
}

describe("the page of a whole run", () => {
  let page: string;
  beforeAll(async () => {
    page = await pageOf("whole", await wholeRun());
  });

  test("is one sound document: nested well, no script, no outside address, unique ids, captions and scopes", () => {
    expectSound(page);
    for (const landmark of ["<html lang=", "<header", "<nav aria-label", "<main", "<footer"])
      expect(page).toContain(landmark);
  });

  test("allows only the style sheet whose hash its policy names", () => {
    const [, style] = page.match(/<style>([\s\S]*)<\/style>/)!;
    const hash = createHash("sha256").update(style!).digest("base64");
    expect(page).toContain(`content="default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-${hash}&#39;;`);
    expect(page.match(/<style/g)).toHaveLength(1);
  });

  test("shows a hostile prompt as text, in the gallery, in alt texts and in the configuration", () => {
    expect(page).not.toContain("<script");
    const escaped = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;cat&#39;";
    expect(page).toContain(`<bdi>${escaped}</bdi>`);
    expect(page).toContain(`alt="“${escaped}”, seed 1000, before training: reward 4.25"`);
    expect(page.split("<code>")[1]).toContain("&lt;script&gt;");
  });

  test("every picture has an alt text with prompt, time and reward, unless it is shown again with one", () => {
    const gallery = page.split('id="pictures"')[1]!;
    const alts = [...gallery.matchAll(/<img [^>]*alt="([^"]*)"/g)].map(([, alt]) => alt!);
    expect(alts).toHaveLength(12);
    for (const alt of alts)
      expect(alt).toMatch(/^“.+”, seed 100\d, (?:before training: reward 4\.25|after training: reward 5\.75)$/);
    const look = page.match(/<div class="look" aria-hidden="true">[\s\S]*?<\/div>/)![0];
    expect(look.match(/alt=""/g)!.length + alts.length).toBe(page.match(/<img /g)!.length);
  });

  test("every curve of a chart has its own dash, an entry in the legend and a summary in words", () => {
    const charts = page.match(/<figure class="chart"[\s\S]*?<\/figure>/g)!;
    const titles = charts.map((chart) => chart.match(/<h3[^>]*>([^<]*)/)![1]);
    expect(titles).toEqual([
      "Reward",
      "Losses",
      "Diversity",
      "Prior distance",
      "Reward against diversity",
      "Gradient norms",
    ]);
    for (const chart of charts) {
      const drawing = chart.match(/<svg viewBox="0 0 460[\s\S]*?<\/svg>/)![0];
      const dashes = [...drawing.matchAll(/<path class="line [^>]*stroke-dasharray="([^"]*)"/g)].map(
        ([, dash]) => dash,
      );
      expect(dashes.length).toBe(drawing.match(/class="line /g)!.length);
      expect(new Set(dashes).size).toBe(dashes.length);
      expect(chart.match(/<table class="legend">[\s\S]*?<\/table>/)![0].match(/class="swatch"/g)).toHaveLength(
        dashes.length,
      );
      const summary = drawing.match(/<desc[^>]*>([^<]*)/)![1]!;
      expect(summary.match(/starts at .+? ends at .+?; lowest .+?, highest .+?\./g)).toHaveLength(dashes.length);
      expect(chart).toMatch(/<details><summary>/);
    }
  });

  test("tells start, end and extremes of the reward", () => {
    expect(page).toContain(
      "training: starts at 4.04 (update 1), ends at 6.00 (update 50); lowest 4.04 (update 1), highest 6.00 (update 50).",
    );
  });

  test("losses over decades get a logarithmic axis, rewards do not", () => {
    expect(page).toContain(">loss, logarithmic<");
    expect(page).not.toContain(">reward, logarithmic<");
  });

  test("compares before and after, with the floor of the prior distance and the size of the evaluation", () => {
    const table = page.match(/<table class="measures">[\s\S]*?<\/table>/)![0];
    expect(table).toMatch(/Reward.*4\.20.*5\.24.*\+1\.04.*\+1\.3 std/);
    expect(table).toMatch(/Diversity.*0\.600.*0\.552.*−8\u202f%/);
    expect(table).toMatch(/Diversity, third-party feature \(MobileNetV2\).*0\.400.*0\.380.*−5\u202f%/);
    expect(table).toMatch(/Prior distance.*0\.000300 <small>floor.*0\.0119/);
    expect(table).toContain("720 images with 16 seeds");
  });

  test("passes over unknown events and the cut last line, and is the same each time", async () => {
    expect(page).not.toContain("could not be read");
    expect(await pageOf("whole", await wholeRun())).toBe(page);
  });
});

describe("runs that are not whole", () => {
  test.each<[string, Files]>([
    ["only a configuration", { "config.json": { model: { kind: "onnx" } } }],
    ["only events", { "events.jsonl": `${JSON.stringify(step(1))}\n${JSON.stringify(step(2))}\n` }],
    ["only a summary", { "summary.json": { before, after } }],
    ["one update", { "events.jsonl": JSON.stringify(step(1)) }],
    [
      "an evaluation of numbers this page does not know",
      {
        "events.jsonl": [1, 2].map((update) => JSON.stringify({ ...evaluation(update), handCount: update })).join("\n"),
      },
    ],
  ])("%s still gives a sound page", async (name, files) => {
    const page = await pageOf(name, files);
    expectSound(page);
    expect(page).toContain(files["summary.json"] ? "Improved" : "Not finished");
  });

  test("an empty folder and a missing one are refused", async () => {
    await expect(writeReport(await runOf("empty", {}))).rejects.toThrow(ConfigError);
    await expect(writeReport(join(root, "nowhere"))).rejects.toThrow(/is no folder/);
  });

  test("a damaged summary is refused with its path", async () => {
    const directory = await runOf("damaged", { "summary.json": '{"before":' });
    await expect(writeReport(directory)).rejects.toThrow(FormatError);
    await expect(writeReport(directory)).rejects.toThrow(/summary\.json/);
  });

  test("losses that were not finite are left out of the curve and counted, unreadable lines too", async () => {
    const lines = [1, 2, 3].map((update) =>
      JSON.stringify({ ...step(update), losses: { policy: update === 2 ? Number.NaN : update } }),
    );
    const page = await pageOf("not-finite", {
      "events.jsonl": [lines[0], "half a li", ...lines.slice(1), ""].join("\n"),
    });
    expect(page).toContain("Left out: 1 value not finite.");
    expect(page).toContain("1 line of events.jsonl could not be read");
    expect(page).not.toContain("NaN");
  });

  test("pairs with a missing, damaged or outside picture are left out and counted", async () => {
    const files = await samplesOf(["cat"], 4);
    const index = files["samples/index.json"] as { before: { file: string } }[];
    index[0]!.before.file = "missing.png";
    index[1]!.before.file = "broken.png";
    index[2]!.before.file = "../outside.png";
    const page = await pageOf("pairs", {
      ...files,
      "summary.json": {},
      "samples/broken.png": "no PNG",
      "outside.png": files["samples/a.png"],
    });
    expect(page).toContain("3 pairs left out");
    expect(page.match(/<img /g)).toHaveLength(2);
  });
});

describe("size", () => {
  test("many pairs: each prompt keeps its first ones, and the text says how many are shown", async () => {
    const prompts = Array.from({ length: 45 }, (_, k) => `animal ${k}`);
    const page = await pageOf("many", { "summary.json": {}, ...(await samplesOf(prompts, 16)) });
    expect(page.length).toBeLessThan(10e6);
    expect(page).toContain("360 pairs of 720 pairs are shown");
    for (const prompt of prompts) expect(page.split(`alt="“${prompt}”`)).toHaveLength(1 + 2 * 8);
  });

  test("large pictures: the page stays below 10 MB", async () => {
    const page = await pageOf("large", { "summary.json": {}, ...(await samplesOf(["cat", "dog"], 6, 512)) });
    expect(page.length).toBeLessThan(10e6);
    expect(page).toMatch(/\d pairs of 12 pairs are shown/);
  });

  test("long runs: curves are averaged, extremes are not", async () => {
    const lines = Array.from({ length: 20_000 }, (_, at) =>
      JSON.stringify({ ...step(at + 1), reward: at === 77 ? 99 : 1 }),
    );
    const page = await pageOf("long", { "events.jsonl": lines.join("\n") });
    expect(page.length).toBeLessThan(400_000);
    expect(page).toContain("highest 99.0 (update 78)");
    expect(page).toContain("mean of up to 67 neighbouring values");
    expectSound(page);
  });
});

describe("exact worlds", () => {
  const ring = Array.from({ length: 40 }, (_, k) => [Math.cos(k), Math.sin(k)]);

  test("stand beside target, tilted sampler and pretrained model, with their points", async () => {
    const page = await pageOf("exact", {
      "summary.json": { exact, seconds: 90 },
      "samples/points.json": { before: ring, after: ring, target: ring },
    });
    expectSound(page);
    expect(page).toMatch(/Energy distance.*0\.410.*0\.0200.*0\.0100.*<td>0<\/td>/);
    expect(page).toContain("1,320 effective samples");
    expect(page.match(/class="points /g)).toHaveLength(3);
    expect(page).toContain("40 points, mean (");
    expect(page).toContain("Near the target");
    expect(page).not.toContain('id="pictures"');
  });

  test("say what the tilted sampler was drawn by, and give no numbers where it has collapsed", async () => {
    const withFloor = (change: object) => ({ ...exact, floor: { ...exact.floor, ...change } });
    const page = (change: object, prompts = {}) =>
      pageOf("exact-tilted", { "summary.json": { exact: { ...withFloor(change), prompts } } });
    expect(await page({})).toContain("with exact importance weights");
    expect(await page({ method: "twisted-smc" })).toContain("drawn by twisted sequential Monte Carlo");
    const prompts = { good: exact, bad: withFloor({ ess: 9 }) };
    for (const collapsed of [await page({ ess: 9 }), await page({ ess: 500 }, prompts)]) {
      expectSound(collapsed);
      expect(collapsed).toMatch(/It rests on 9(\.00)? effective samples, fewer than 100: its weights have collapsed/);
      expect(collapsed).toMatch(/Energy distance.*0\.410.*0\.0200.*<td>–<\/td><td>0<\/td>/);
      expect(collapsed).not.toMatch(/(Reached|Near) the target/);
    }
  });

  test("with several prompts have a table for each", async () => {
    const page = await pageOf("exact-prompts", {
      "summary.json": { exact: { ...exact, prompts: { left: exact, [HOSTILE]: exact } } },
    });
    expectSound(page);
    expect(page.match(/<table class="measures">/g)).toHaveLength(3);
    expect(page).toContain("Means over 2 prompts.");
  });
});

describe("the verdict", () => {
  const measured = (changes: Record<string, number> = {}) => {
    const { images, seeds, ...values } = { ...before, ...changes };
    return { values, images, seeds };
  };
  const judged = (changes: Record<string, number>) => verdict({ before: measured(), after: measured(changes) });
  const plain = (sentence: string) => sentence.replaceAll("\u202f", " ");

  test.each([
    [
      "success",
      { reward: 5.24, diversity: 0.552 },
      "Improved",
      "Reward rose by 1.3 standard deviations of the pretrained model; 92 % of the diversity was kept.",
    ],
    [
      "a price",
      { reward: 5.24, diversity: 0.42 },
      "Improved at a cost",
      "Reward rose by 1.3 standard deviations of the pretrained model, but diversity fell to 70 % of the pretrained model’s.",
    ],
    [
      "a collapse",
      { reward: 6.2, diversity: 0.06 },
      "Collapsed",
      "Reward rose by 2.5 standard deviations of the pretrained model, but the samples collapsed: only 10 % of the diversity is left.",
    ],
    [
      "no change within the noise",
      { reward: 4.25 },
      "No change",
      "Reward did not change measurably (4.20 before, 4.25 after); 100 % of the diversity was kept.",
    ],
    [
      "harm",
      { reward: 3.8 },
      "Got worse",
      "Reward fell by 0.50 standard deviations of the pretrained model; 100 % of the diversity was kept.",
    ],
    [
      "lost agreement",
      { reward: 5.24, promptAgreement: 0.6 },
      "Improved",
      "Reward rose by 1.3 standard deviations of the pretrained model; 100 % of the diversity was kept, and prompt agreement fell from 0.900 to 0.600.",
    ],
    ["divergence", { reward: Number.NaN }, "Failed", "The reward came out as no finite number, so the run failed."],
  ])("of %s", (_, changes, label, sentence) => {
    const { label: given, sentence: said } = judged(changes);
    expect([given, plain(said)]).toEqual([label, sentence]);
  });

  const exactly = (energyDistance: number) =>
    verdict({
      exact: {
        finetuned: { energyDistance },
        target: exact.target,
        floor: exact.floor,
        pretrained: exact.pretrained,
        prompts: {},
      },
    });

  test.each([
    [0.009, "Reached the target", /as close to the exact target as exact tilting gets/],
    [0.0139, "Reached the target", /as close to the exact target as exact tilting gets, or nearly/],
    [0.0141, "Near the target", /came 99 % of the way/],
    [0.05, "Near the target", /came 90 % of the way/],
    [0.21, "Part of the way", /came 50 % of the way/],
    [0.4, "No change", /came no closer/],
    [0.6, "Got worse", /moved away from/],
    [Number.NaN, "Failed", /no finite number/],
  ])("of an exact world with energy distance %d", (energyDistance, label, sentence) => {
    const { label: given, sentence: said } = exactly(energyDistance);
    expect(given).toBe(label);
    expect(plain(said)).toMatch(sentence);
  });
});

describe("parts", () => {
  test("html escapes texts and attributes, takes its own kind as it is, and leaves nothing for undefined", () => {
    expect(html`<a title="${`"'<&`}">${["<", html`<b>${1}</b>`]}${undefined}</a>`.text).toBe(
      '<a title="&quot;&#39;&lt;&amp;">&lt;<b>1</b></a>',
    );
  });

  test.each([
    [0, "0"],
    [4.206, "4.21"],
    [9.999, "10.0"],
    [-0.031, "−0.0310"],
    [1250, "1,250"],
    [0.0000213, "2.13×10⁻⁵"],
    [-3.5e12, "−3.50×10¹²"],
    [Number.NaN, "not finite"],
  ])("%d reads %s", (value, text) => expect(significant(value)).toBe(text));

  test("percentages and durations", () => {
    expect([percent(0.923), percent(0.0012), percent(0)]).toEqual(["92\u202f%", "0.1\u202f%", "0\u202f%"]);
    expect([0.4, 59.6, 185, 7200, 8040].map((seconds) => duration(seconds).replaceAll("\u202f", " "))).toEqual([
      ...["0.40 s", "1 min", "3 min 5 s", "2 h", "2 h 14 min"],
    ]);
  });

  test("ticks are round, inside, evenly spaced, and no label comes twice", () => {
    for (const [low, high] of [
      [0, 1],
      [-3.2, 7.7],
      [0.55, 0.62],
      [1, 2000],
      [-0.0004, 0.0119],
      [1e6, 3e6],
    ] as const) {
      const ticks = linearTicks(low, high);
      expect(ticks.length).toBeGreaterThanOrEqual(3);
      expect(ticks.length).toBeLessThanOrEqual(9);
      expect(new Set(ticks.map(({ label }) => label)).size).toBe(ticks.length);
      const spacing = ticks[1]!.value - ticks[0]!.value;
      ticks.forEach(({ value }, k) => {
        expect(value).toBeGreaterThanOrEqual(low - 1e-9 * spacing);
        expect(value).toBeLessThanOrEqual(high + 1e-9 * spacing);
        expect(value).toBeCloseTo(ticks[0]!.value + k * spacing, 9);
      });
    }
    expect(logTicks(0.004, 3).map(({ label }) => label)).toEqual(["0.01", "0.1", "1"]);
    expect(logTicks(20, 90).map(({ label }) => label)).toEqual(["20", "50"]);
    expect(logTicks(1e-12, 1e3).length).toBeLessThanOrEqual(6);
    expect(logDomain([1e-300, 1e308], 0.1).ticks.length).toBeLessThanOrEqual(6); // their ratio has no number
  });

  test.each([
    [1e17, 1e17 + 16],
    [0, Number.MIN_VALUE],
    [-Number.MAX_VALUE, Number.MAX_VALUE],
  ])("from %d to %d: no step can be counted, and one tick is left", (low, high) => {
    expect(linearTicks(low, high).length).toBeLessThanOrEqual(1);
  });
});
