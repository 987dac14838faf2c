import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, FormatError, NablaError } from "../src/core/errors.ts";
import { scoresIn } from "../src/rewards/http/answer.ts";
import { readConfig } from "../src/train/config.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever stands in a configuration, it is one or ConfigError says where it is not; whatever a reward server answers, it is
// as many scores as were asked for or an error. See fuzz.ts.

const short = 500;
const timeout = fuzzTimeout(short);
const folder = mkdtempSync(join(tmpdir(), "nablaflow-config-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "run.yaml");

const survives = (content: string | Uint8Array) => {
  writeFileSync(path, content);
  return reads(async () => expect((await readConfig(path)).train.updates).toBeGreaterThan(0), {
    errors: [ConfigError, FormatError], // an error of a part names the key: the file is the one that was given
  });
};

const ring = readFileSync(fileURLToPath(new URL("../configs/worlds/ring8.yaml", import.meta.url)), "utf8");
const json = JSON.stringify({
  model: { kind: "gaussian-mixture", means: [[-1], [1]], stds: 0.3 },
  reward: { kind: "linear", k: [1] },
  objective: { kind: "ddpo" },
  sampler: { kind: "ddim", steps: 4 },
  train: { updates: 2, seed: 3 },
});
const utf8 = new TextEncoder();

describe("configurations", () => {
  test(
    "with changed bytes",
    () =>
      fuzz(
        fc.tuple(fc.constantFrom(ring, json), mutations),
        ([text, changes]) => survives(changes.reduce(mutated, utf8.encode(text))),
        { short, least: 0.02 },
      ),
    timeout,
  );

  test(
    "of changed structure",
    () => fuzz(jsonMutations, (changes) => survives(mutatedJson(json, changes)), { short, least: 0.02 }),
    timeout,
  );

  const piece = fc.constantFrom(
    ...[
      "a",
      "model",
      "kind",
      ": ",
      ":",
      "\n",
      "\n  ",
      "- ",
      "[",
      "]",
      "{",
      "}",
      ", ",
      "&x ",
      "*x",
      "<<: ",
      "!!map ",
      "!!set ",
    ],
    ...[
      "!!binary ",
      "!!timestamp ",
      "? ",
      "|",
      ">",
      '"',
      "'",
      "#",
      "%YAML 1.1\n---\n",
      "---\n",
      "...\n",
      "~",
      "1e999",
      "0x1",
    ],
    ...["__proto__", ".nan", "\t", "!<tag> ", "\\"],
  );
  test(
    "of any pieces of YAML",
    () => fuzz(fc.array(piece, { maxLength: 30 }), (pieces) => survives(pieces.join("")), { short }),
    timeout,
  );

  test("aliases that multiply or stand in themselves, a key of all objects, and millions of brackets", async () => {
    const doubled = [
      "a0: &a0 [x, x]",
      ...Array.from({ length: 40 }, (_, k) => `a${k + 1}: &a${k + 1} [*a${k}, *a${k}]`),
    ];
    await expect(survives(doubled.join("\n"))).resolves.toBe(false);
    await expect(survives("model: &m { kind: gaussian-mixture, means: *m }")).resolves.toBe(false);
    await expect(survives("__proto__: { train: { updates: 1 } }")).resolves.toBe(false);
    await expect(survives(`model: ${"[".repeat(100_000)}`)).resolves.toBe(false);
  });
});

test(
  "answers of a reward server",
  () => {
    const answer = '{"rewards": [0.5, null, -3], "model": {"name": "x"}}';
    const text = fc.oneof(
      jsonMutations.map((changes) => mutatedJson(answer, changes)),
      mutations.map((changes) => new TextDecoder().decode(changes.reduce(mutated, utf8.encode(answer)))),
      fc
        .array(fc.constantFrom("NaN", "-Infinity", ",", "[", "]", "{", "}", '"rewards"', ":", "1"), { maxLength: 12 })
        .map((p) => p.join("")),
    );
    return fuzz(
      fc.tuple(text, fc.nat(4)),
      ([text, count]) =>
        reads(
          () => {
            const scores = scoresIn(text, count, "http://server");
            expect(scores.length).toBe(count);
            for (const score of scores) expect(score === undefined || Number.isFinite(Math.fround(score))).toBe(true);
          },
          { naming: "http://server", errors: [NablaError] },
        ),
      { short: 4000, least: 0.02 },
    );
  },
  timeout,
);
