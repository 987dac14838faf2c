import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineObjective, defineReward, readConfig, train } from "nablaflow";
import { nodeRuntime } from "nablaflow/runtime/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { exported, trainOnExported } from "../examples/exported-reward.ts";
import { fitFunction } from "../examples/fit-function.ts";
import { side, trainOnOwnReward } from "../examples/own-reward.ts";
import { stopAndResume } from "../examples/resume.ts";
import { trainClassifier } from "../examples/train-classifier.ts";
import { trainFromConfig } from "../examples/train-from-config.ts";
import { ConfigError } from "../src/core/errors.ts";
import { onnx } from "../src/rewards/index.ts";
import { evaluate, fill, input } from "../src/tensor/index.ts";

const small = (updates: number) => [`train.updates=${updates}`, "train.trajectories=20", "train.block=20"];
const quiet = () => {};
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nablaflow-examples-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("train-from-config: the reward rises from what the pretrained model has", async () => {
  const pretrained = await trainFromConfig(small(1), quiet);
  expect(await trainFromConfig(small(40), quiet)).toBeGreaterThan(pretrained + 0.3);
});

test("own-reward: a reward given as a value is what is trained on", async () => {
  const rewards = await trainOnOwnReward(small(40), quiet);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean(rewards.slice(-8))).toBeGreaterThan(mean(rewards.slice(0, 8)) + 0.3);
});

test("resume: the second part goes on where the first stopped, and nothing differs from a run without a stop", async () => {
  const stopped = join(folder, "stopped");
  const whole = join(folder, "whole");
  expect(await stopAndResume(stopped, 3, small(5))).toEqual([
    [1, 2, 3],
    [4, 5],
  ]);
  const config = await readConfig("configs/worlds/ring8.yaml", { set: small(5) });
  for await (const _ of train(config, { runtime: nodeRuntime(), out: whole }));
  const final = (run: string) => readFileSync(join(run, "final.safetensors"));
  expect(final(stopped).equals(final(whole))).toBe(true);
});

test("fit-function: the network, its slope and its curvature come near the truth", async () => {
  const inside = (await fitFunction(1000, quiet)).slice(1, -1); // at the ends no data hold the curvature
  const worst = (k: 0 | 1 | 2) => Math.max(...inside.map(({ fit, truth }) => Math.abs(fit[k] - truth[k])));
  expect(worst(0)).toBeLessThan(0.05); // the truth reaches 1,
  expect(worst(1)).toBeLessThan(0.3); // 2
  expect(worst(2)).toBeLessThan(1.5); // and 4
});

test("train-classifier: unseen points are told apart, which they are not before training", async () => {
  const untrained = await trainClassifier(0, quiet);
  expect(untrained).toBeLessThan(0.75); // the arms interleave
  expect(await trainClassifier(400, quiet)).toBeGreaterThan(0.9);
});

test("exported-reward: a warm disc scores above a cold one on any ground, and the model is trained on the score", async () => {
  const [orange, blue, white] = [
    [1, 0.5, 0.1],
    [0.1, 0.4, 1],
    [1, 1, 1],
  ];
  const drawn = [
    [orange, white],
    [orange, blue],
    [blue, white],
    [blue, orange],
  ];
  const images = drawn.flatMap(([disc, ground]) =>
    [0, 1, 2].flatMap((c) =>
      Array.from({ length: 32 * 32 }, (_, at) => {
        const [x, y] = [(at % 32) - 15.5, Math.floor(at / 32) - 15.5];
        return (x * x + y * y < 100 ? disc : ground)![c]!;
      }),
    ),
  );
  const reward = await onnx(exported).load();
  if (!reward.differentiable) throw new Error("must be differentiable");
  const scores = evaluate([reward.score({ images: input("x", [4, 3, 32, 32]), prompts: fill([4, 1], 0) })], {
    x: images,
  })[0]!;
  expect(Math.min(scores[0]!, scores[1]!)).toBeGreaterThan(Math.max(scores[2]!, scores[3]!));

  const short: string[] = JSON.parse(readFileSync("tests/short-run.json", "utf8"));
  const rewards = await trainOnExported([...short, "prompts=[a cat]"], quiet);
  expect(rewards.map(Number.isFinite)).toEqual([true]);
});

test("values are recorded by kind and options, and resume knows them again", async () => {
  const out = join(folder, "recorded");
  const config = await readConfig("configs/worlds/ring8.yaml", { set: small(1) });
  const run = (strength: number, resume: boolean) =>
    train({ ...config, reward: side({ strength }) }, { runtime: nodeRuntime(), out, resume }).next();
  await (async () => {
    for await (const _ of train({ ...config, reward: side({ strength: 2 }) }, { runtime: nodeRuntime(), out }));
  })();
  const recorded = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
  expect(recorded.reward).toEqual({ kind: "side", strength: 2 });
  await expect(run(3, true)).rejects.toThrow(/reward\.strength/);
});

test("an objective of one's own is trained as a value, and its needs are held against the reward", async () => {
  const chase = defineObjective({
    kind: "chase",
    paper: "none",
    aim: "tilted-prior",
    summary: "the step's drift follows the reward gradient at the predicted clean sample",
    options: z.strictObject({ beta: z.number().default(1) }),
    transitions: "strata",
    needs: () => ["reference", "reward-gradient"],
    evaluations: ({ transitions }) => ({ perUpdate: 4 * transitions }),
    losses: ({ delta, next }, { beta }) => ({
      policy: {
        forward: delta.sub(next.rewardGradient(next.reference.x0Hat).mul(beta).stopGradient()).square().mean(),
      },
    }),
  });
  const config = await readConfig("configs/worlds/ring8.yaml", { set: small(2) });
  const losses: (number | undefined)[] = [];
  for await (const event of train({ ...config, objective: chase({ beta: 2 }) }, { runtime: nodeRuntime() })) {
    if (event.type === "step") losses.push(event.losses["policy.forward"]);
  }
  expect(losses).toEqual([expect.any(Number), expect.any(Number)]);

  const onHost = defineReward({
    kind: "on-host",
    summary: "a number from elsewhere",
    options: z.strictObject({}),
    host: async ({ prompts }) => new Float32Array(prompts.length),
  });
  const refused = train({ ...config, objective: chase(), reward: onHost() }, { runtime: nodeRuntime() });
  await expect(refused.next()).rejects.toThrow(ConfigError);
});

test("options of a kind are typed: a misspelt key does not compile, and is refused when it runs", () => {
  // @ts-expect-error unknown key
  expect(() => side({ strenght: 1 })).toThrow(/strenght/);
  // @ts-expect-error not a number
  expect(() => side({ strength: "1" })).toThrow(/strength/);
});
