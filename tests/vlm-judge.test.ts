import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { ConfigError, NablaError, NonFiniteError } from "../src/core/errors.ts";
import { decodePng } from "../src/images/index.ts";
import { openClient } from "../src/rewards/http/client.ts";
import { vlmJudge } from "../src/rewards/index.ts";
import { judgedScore } from "../src/rewards/vlm/answer.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { readConfig, resolveConfig, train } from "../src/train/index.ts";
import { type Answer, closeStandIns, messageOf, refusing, serve as serveJson } from "./worlds/stand-in.ts";

const KEY = "sk-kept-by-the-environment";
process.env.VLM_JUDGE_TEST_KEY = KEY;
const path = "/v1/chat/completions";
afterEach(closeStandIns);

interface Question {
  model: string;
  messages: {
    role: string;
    content: [{ type: "text"; text: string }, { type: "image_url"; image_url: { url: string } }];
  }[];
  temperature: number;
  max_tokens: number;
  logprobs?: boolean;
  top_logprobs?: number;
}
const serve = (answer: Answer<Question>) => serveJson<Question>(answer, path);

/** A completion with a text, and the tokens of an answer with the probabilities of what might have stood there. */
const says = (content: unknown, ...tokens: [token: string, alternatives: Record<string, number>][]) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content },
      finish_reason: "stop",
      ...(tokens.length > 0 && {
        logprobs: {
          content: tokens.map(([token, alternatives]) => {
            const listed = Object.entries(alternatives).map(([word, p]) => ({
              token: word,
              logprob: Math.log(p),
              bytes: [],
            }));
            return { token, logprob: Math.log(alternatives[token] ?? 0.5), bytes: [], top_logprobs: listed };
          }),
        },
      }),
    },
  ],
});

/** Pictures [n, 3, 2, 2] of one grey each, grey/255. */
const greys = (...levels: number[]) => Float32Array.from(levels.flatMap((level) => new Array(12).fill(level / 255)));
const textOf = ({ messages }: Question) => messages[0]!.content[0].text;
const dataOf = ({ messages }: Question) => messages[0]!.content[1].image_url.url;
const greyOf = async (question: Question) =>
  (await decodePng(Buffer.from(dataOf(question).replace(/^data:image\/png;base64,/, ""), "base64"))).data[0]!;

async function open(options: Omit<NonNullable<Parameters<typeof vlmJudge>[0]>, "model">) {
  const reward = await vlmJudge({ model: "judge-7b", ...options }).load();
  if (reward.differentiable) throw new Error("runs on the host");
  return (images: Float32Array, prompts = new Array<string>(images.length / 12).fill("a cat")) =>
    reward.score({ images, shape: [images.length / 12, 3, 2, 2], prompts });
}

const five = { "1": 1, "2": 2, "3": 3, "4": 4, "5": 5 };
const yesNo = { Yes: 1, No: 0 };
const scoreOf = (completion: unknown, answers: Readonly<Record<string, number>> = five) =>
  judgedScore(typeof completion === "string" ? completion : JSON.stringify(completion), answers, "vlm-judge: here");

describe("what is asked", () => {
  test("one picture a request, as a PNG in a data URI, with the rubric filled in, greedily, with probabilities", async () => {
    const { asked, url } = await serve(async (question) => says(String(1 + ((await greyOf(question)) % 5))));
    const score = await open({ url, question: 'Is it "{prompt}"? {prompt}!', concurrency: 3, maxTokens: 4 });
    const prompts = ["a cat", "costs $& and $1", "é {prompt}"];
    expect([...(await score(greys(0, 1, 7), prompts))]).toEqual([1, 2, 3]);
    const byGrey = new Map(
      await Promise.all(asked.map(async (question) => [await greyOf(question), question] as const)),
    );
    for (const [k, level] of [0, 1, 7].entries()) {
      const question = byGrey.get(level)!;
      expect(textOf(question)).toBe(`Is it "${prompts[k]}"? ${prompts[k]}!`);
      expect(dataOf(question)).toMatch(/^data:image\/png;base64,iVBORw0KGgo/);
      expect(question).toMatchObject({
        model: "judge-7b",
        temperature: 0,
        max_tokens: 4,
        logprobs: true,
        top_logprobs: 20,
      });
      expect(question.messages.map(({ role }) => role)).toEqual(["user"]);
    }
  });

  test("no probabilities where none are wanted", async () => {
    const { asked, url } = await serve(() => says("3"));
    await (await open({ url, topLogprobs: 0 }))(greys(1));
    expect(Object.keys(asked[0]!).sort()).toEqual(["max_tokens", "messages", "model", "temperature"]);
  });

  test("the same picture is asked once for a prompt and a rubric", async () => {
    const { asked, url } = await serve(() => says("3"));
    const score = await open({ url });
    await score(greys(5, 6, 5), ["a", "a", "a"]);
    await score(greys(5, 5, 6), ["a", "b", "a"]);
    expect(asked).toHaveLength(3);
    await (await open({ url, question: "Is it {prompt}?" }))(greys(5), ["a"]);
    expect(asked).toHaveLength(4);
    expect(new Set(asked.map(textOf)).size).toBe(3);
  });

  test("the key goes into the header that OpenAI's servers read, and without one there is no header", async () => {
    const seen: (string | undefined)[] = [];
    const { url } = await serve((_, __, { headers }) => {
      seen.push(headers.authorization);
      return says("3");
    });
    await (await open({ url, key: "VLM_JUDGE_TEST_KEY" }))(greys(1));
    await (await open({ url }))(greys(1));
    expect(seen).toEqual([`Bearer ${KEY}`, undefined]);
  });
});

describe("a score from probabilities", () => {
  test("is the expectation over the answers, whatever else is likely", () => {
    const alternatives = { "4": 0.5, "5": 0.2, "2": 0.1, The: 0.15, "**": 0.05 };
    expect(scoreOf(says("4", ["4", alternatives]))).toBeCloseTo((4 * 0.5 + 5 * 0.2 + 2 * 0.1) / 0.8, 12);
  });

  test("adds up the spellings of an answer", () => {
    const alternatives = { Yes: 0.4, " yes": 0.2, YES: 0.1, No: 0.2, " no": 0.05, Maybe: 0.05 };
    expect(scoreOf(says("Yes", ["Yes", alternatives]), yesNo)).toBeCloseTo(0.7 / 0.95, 12);
  });

  test("is taken where the answer stands, not where another token could have been one", () => {
    const tokens: Parameters<typeof says>[1][] = [
      ['{"', { '{"': 0.9, "1": 0.1 }],
      ["score", { score: 1 }],
      ['":', { '":': 1 }],
      [" ", { " ": 0.9, " 2": 0.1 }],
      ["4", { "4": 0.75, "3": 0.25 }],
      ["}", { "}": 1 }],
    ];
    expect(scoreOf(says('{"score": 4}', ...tokens))).toBeCloseTo(3.75, 12);
  });

  test("counts the token that was chosen even where it is not listed", () => {
    expect(scoreOf(says("2", ["2", { "4": 0.5 }]))).toBeCloseTo(3, 12); // both 0.5
  });

  test("stays finite and in range whatever the numbers are", () => {
    const completion = says("4", ["4", { "4": 0.5, "5": 0.5 }]);
    const [first] = completion.choices;
    const at = (...logprobs: (number | null)[]) => {
      const top_logprobs = logprobs.map((logprob, k) => ({ token: String(4 + k), logprob }));
      return scoreOf({ choices: [{ ...first, logprobs: { content: [{ token: "4", logprob: 0, top_logprobs }] } }] });
    };
    expect(at(-9999, -9999)).toBeCloseTo(4.5, 12);
    expect(at(800, 0)).toBeCloseTo(4, 12);
    expect(at(null, -3)).toBe(5);
    expect(at(null, null)).toBe(4);
  });

  test("where they cannot be read, the text counts", () => {
    for (const logprobs of [
      null,
      {},
      { content: null },
      { content: [] },
      { tokens: ["4"], token_logprobs: [-1] },
      "no",
      { content: [7] },
    ]) {
      expect(scoreOf({ choices: [{ message: { content: "4" }, logprobs }] })).toBe(4);
    }
    expect(scoreOf(says("3.5", ["3", { "3": 1 }], [".", { ".": 1 }], ["5", { "5": 1 }]))).toBe(3.5);
  });
});

describe("a score from the text", () => {
  test.each<[string, number | undefined]>([
    ["4", 4],
    [" 4.\n", 4],
    ["**5**", 5],
    ["Rating: 2", 2],
    ["I would give it 3 out of 5.", 3],
    ["4/5", 4],
    ["2 / 5 stars", 2],
    ["3.5", 3.5],
    ['{"score": 4}', 4],
    ['{"rating": "2"}', 2],
    ['{"answer": 5, "reason": "1 cat, 2 ears"}', 5],
    ['```json\n{"score": 1.5}\n```', 1.5],
    ["```\n3\n```", 3],
    ["", undefined],
    ["6", undefined],
    ["0", undefined],
    ["-3", undefined],
    ["1e400", undefined],
    ["between 3 and 4", undefined],
    ["1-5", undefined],
    ["I'm sorry, but I can't assist with that.", undefined],
    ['{"score": null}', undefined],
    ['{"score": [4]}', undefined],
    ['{"verdict": "fine"}', undefined],
    ["null", undefined],
    ["[4]", undefined],
  ])("%j is %s", (text, value) => {
    expect(scoreOf(says(text))).toBe(value);
  });

  test.each<[string, number | undefined]>([
    ["Yes", 1],
    ["no.", 0],
    ['"Yes"', 1],
    ["No, this is a dog.", 0],
    ['{"answer": "yes"}', 1],
    ["Notably, yes", undefined],
    ["I cannot say: no comment", undefined],
    ["4", undefined],
  ])("of words: %j is %s", (text, value) => {
    expect(scoreOf(says(text), yesNo)).toBe(value);
  });

  test("a longer answer goes before one that it begins with, and numbers between answers need a scale of their own", () => {
    const grades = { good: 1, "good enough": 0.5 };
    expect(scoreOf(says("Good enough!"), grades)).toBe(0.5);
    expect(scoreOf(says("good"), grades)).toBe(1);
    expect(scoreOf(says("3"), { "1": -1, "3": 0, "5": 2 })).toBe(0);
    expect(scoreOf(says("2"), { "1": -1, "3": 0, "5": 2 })).toBeUndefined();
  });

  test("a refusal has no score, even beside a text", () => {
    const refusal = "I can't rate 1 picture of a person.";
    expect(scoreOf({ choices: [{ message: { content: null, refusal } }] })).toBeUndefined();
    expect(scoreOf({ choices: [{ message: { content: "4", refusal } }] })).toBeUndefined();
    expect(scoreOf({ choices: [{ message: {} }] })).toBeUndefined();
  });
});

describe("what fails", () => {
  test.each<[string, unknown]>([
    ["no JSON", `<html>${KEY}`],
    ["an error in place of an answer", { error: { message: KEY } }],
    ["no choice", { choices: [] }],
    ["a choice without a message", { choices: [{ text: KEY }] }],
    ["a content that is no text", { choices: [{ message: { content: { text: KEY } } }] }],
    ["a list", [KEY]],
    ["null", "null"],
  ])("%s ends the run at once, and is not quoted", async (_, value) => {
    const { url, asked } = await serve(() => value);
    const failing = (await open({ url, key: "VLM_JUDGE_TEST_KEY" }))(greys(1));
    await expect(failing).rejects.toThrow(NablaError);
    const message = await messageOf(failing);
    expect(message).toMatch(
      /vlm-judge: http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions must answer as a chat completion/,
    );
    expect(message).not.toContain(KEY);
    expect(asked).toHaveLength(1);
  });

  test("a refusal is asked again once, alone; another one names prompt and picture", async () => {
    const { url, asked } = await serve((question) =>
      says(textOf(question).includes('"a dog"') && asked.length < 4 ? "I'm sorry, I can't." : "2"),
    );
    expect([...(await (await open({ url }))(greys(1, 2, 3), ["a cat", "a dog", "a fox"]))]).toEqual([2, 2, 2]);
    expect(asked).toHaveLength(4);
    const { url: never, asked: twice } = await serve(() => ({ choices: [{ message: { refusal: KEY } }] }));
    const failing = (await open({ url: never }))(greys(1), ["a bear"]);
    await expect(failing).rejects.toThrow(NonFiniteError);
    const message = await messageOf(failing);
    expect(message).toMatch(/vlm-judge: .* gave no finite score, asked twice, .*picture 0 \(prompt "a bear"\)/);
    expect(message).not.toContain(KEY);
    expect(twice).toHaveLength(2);
  });

  test("429 with Retry-After, 500 and a broken connection are waited for", async () => {
    const waits: number[] = [];
    const { url, asked } = await refusing<Question>([[429, { "retry-after": "3" }], [500]], () => says("4"), KEY, path);
    const options = { kind: "vlm-judge", url, headers: {}, secrets: "reward.key", timeout: 5, retries: 3 };
    const client = openClient(options, async (seconds) => waits.push(seconds));
    expect(scoreOf(await client.post("{}", new AbortController().signal))).toBe(4);
    expect([waits, asked.length]).toEqual([[3, 1], 3]);
    let broken = 0;
    const { url: shaky } = await serve((_, response: ServerResponse) => {
      if (broken++ > 0) return says("5");
      response.destroy();
      return undefined;
    });
    expect([...(await (await open({ url: shaky }))(greys(1)))]).toEqual([5]);
  });

  test("in the end it is an error without the key, for each way to fail", async () => {
    const { url: silent } = await serve(() => undefined);
    const { url: broken } = await refusing<Question>([[500], [500]], () => says("4"), KEY, path);
    const { url: denied, asked } = await refusing<Question>([[401]], () => says("4"), `wrong key ${KEY}`, path);
    const { url: wrong } = await refusing<Question>([[404]], () => says("4"), KEY, path);
    for (const [url, reason] of [
      [silent, /no answer within 0.2 s \(reward\.timeout\)/],
      [broken, /failed: it answered with status 500/],
      [denied, /status 401, .*the environment variables that reward\.key names/],
      [wrong, /status 404.*Check reward\.url/],
    ] as const) {
      const failing = (await open({ url, key: "VLM_JUDGE_TEST_KEY", timeout: 0.2, retries: 0 }))(greys(1));
      await expect(failing).rejects.toThrow(reason);
      expect(await messageOf(failing)).not.toContain(KEY);
    }
    expect(asked).toHaveLength(1);
  });

  test("the budget is counted in requests, repeated ones included", async () => {
    const { url, asked } = await serve(() => says("3"));
    const score = await open({ url, budget: 3, concurrency: 1 });
    await score(greys(1, 2));
    await expect(score(greys(3, 4))).rejects.toThrow(/vlm-judge: .*the 3 requests that reward\.budget allows/);
    expect(asked).toHaveLength(3);
  });
});

describe("what is refused before anything is sent", () => {
  const url = `http://127.0.0.1:9${path}`;
  const load = (options: object) => vlmJudge({ url, model: "m", ...options }).load();

  test("a key that is not set, or that no header can hold", async () => {
    await expect(load({ key: "VLM_JUDGE_TEST_ABSENT" })).rejects.toThrow(ConfigError);
    await expect(load({ key: "VLM_JUDGE_TEST_ABSENT" })).rejects.toThrow(/vlm-judge: VLM_JUDGE_TEST_ABSENT is not set/);
    process.env.VLM_JUDGE_TEST_BROKEN = `${KEY}\nX-Other: 1`;
    const message = await messageOf(load({ key: "VLM_JUDGE_TEST_BROKEN" }));
    expect(message).toMatch(/line break/);
    expect(message).not.toContain(KEY);
  });

  test("a key in place of a variable's name or in the address, without repeating it", async () => {
    const file = { model: { kind: "diffusers", path: "nowhere" }, prompts: ["a cat"], objective: { kind: "ddpo" } };
    for (const bad of [{ key: KEY }, { key: "sk-proj-abc" }, { url: `http://me:${KEY}@127.0.0.1${path}` }]) {
      const reward = { kind: "vlm-judge", url, model: "m", ...bad };
      const resolving = async () => resolveConfig({ file: { ...file, reward }, source: "t" });
      await expect(resolving()).rejects.toThrow(ConfigError);
      const message = await messageOf(resolving());
      for (const secret of [KEY, "sk-proj-abc"]) expect(message).not.toContain(secret);
    }
  });

  test.each<[string, object, RegExp]>([
    ["one answer", { answers: { "1": 1 } }, /two or more answers/],
    ["answers that differ in case alone", { answers: { Yes: 1, yes: 0 } }, /two or more answers/],
    ["answers of marks", { answers: { "!": 1, "?": 0 } }, /two or more answers/],
    ["more probabilities than such servers give", { topLogprobs: 21 }, /20/],
    ["no model", { model: "" }, /model/],
    ["another address", { url: "file:///etc/passwd" }, /http or https/],
  ])("%s", (_, options, message) => {
    expect(() => vlmJudge({ url, model: "m", ...options })).toThrow(message);
  });
});

test("a run is trained on a judge and another reward, normalised, and leaves no key behind", async () => {
  const { url, asked } = await serve(async (question) => {
    const p = (await greyOf(question)) / 255;
    return says("Yes", ["Yes", { Yes: Math.max(p, 0.01), No: Math.max(1 - p, 0.01) }]);
  });
  const out = mkdtempSync(join(tmpdir(), "nablaflow-judge-"));
  try {
    const judge = `{kind: vlm-judge, url: "${url}", model: m, answers: {Yes: 1, No: 0}, key: VLM_JUDGE_TEST_KEY, normalize: {samples: 4}}`;
    const reward = `reward=[${judge}, {kind: jpeg-size, sign: incompressible, weight: 0.5, normalize: {mean: 1, std: 0.2}}]`;
    const short: string[] = JSON.parse(readFileSync("tests/short-run.json", "utf8"));
    const set = [...short, reward, "objective={kind: ddpo}", "prompts=[a cat]", "finetune.rank=1"];
    const config = await readConfig("configs/quickstart.yaml", { set });
    let steps = 0;
    for await (const event of train(config, { runtime: nodeRuntime({ threads: 1 }), out })) {
      if (event.type !== "step") continue;
      steps++;
      const { "vlm-judge": judged, "jpeg-size": size } = event.rewardParts!;
      const [own] = JSON.parse(readFileSync(join(out, "config.json"), "utf8")).reward;
      expect(event.reward).toBeCloseTo(
        (judged! - own.normalize.mean) / own.normalize.std + (0.5 * (size! - 1)) / 0.2,
        3,
      );
    }
    expect(steps).toBe(1);
    expect(asked).toHaveLength(4 + 2); // to measure, and one rollout
    const files = readdirSync(out, { recursive: true, encoding: "utf8" }).map((file) => join(out, file));
    const texts = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file, "latin1"));
    expect(texts.filter((text) => text.includes("VLM_JUDGE_TEST_KEY")).length).toBeGreaterThan(0);
    expect(texts.filter((text) => text.includes(KEY))).toEqual([]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

test("its options are listed like those of every kind", () => {
  const { properties } = z.toJSONSchema(vlmJudge.options, { io: "input", unrepresentable: "any" });
  const { question, answers, key } = properties as Record<string, { default?: unknown; description?: string }>;
  expect(question!.default).toContain("{prompt}");
  expect(answers!.default).toEqual(five);
  expect(key!.description).toMatch(/environment variable/);
});
