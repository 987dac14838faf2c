import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { ConfigData } from "../src/core/config.ts";
import { ConfigError, FormatError } from "../src/core/errors.ts";
import { rewardKinds } from "../src/rewards/kinds.ts";
import { defineReward, type RewardKind } from "../src/rewards/reward.ts";
import { prepare } from "../src/train/prepare.ts";
import { apart, configOf, partsOf, plane } from "./worlds/worlds.ts";

// Every refusal comes before a weight is loaded: the model of these configurations does not exist, and loading it would
// be another error.
const absent: ConfigData = {
  ...plane,
  model: { kind: "diffusers", path: "no/such/model" },
  reward: { kind: "linear", k: [1] },
  prompts: ["a cat"],
};

/** The ConfigError of a configuration, and nothing about the model that is not there. */
async function refusal(file: ConfigData, ...set: string[]): Promise<string> {
  try {
    await prepare(configOf(file, ...set));
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).not.toContain("no/such/model");
    return (error as Error).message;
  }
  throw new Error("the configuration was accepted");
}

test("a configuration without a mistake gets as far as the model that is not there", async () => {
  const loading = partsOf(absent);
  await expect(loading).rejects.toThrow(/no\/such\/model/);
  await loading.catch((error) => expect([ConfigError, FormatError]).toContain(error.constructor));
});

describe("unknown names are told with the nearest known one, or with all", () => {
  test.each([
    ["train.udpates=3", /train\.udpates: unknown key.*"updates"/],
    ["trian.updates=3", /trian: unknown key.*"train"/],
    ["train.optimizer.learningRate=1", /train\.optimizer\.learningRate: unknown key\. Known keys here: /],
    ["objective.bta=3", /bta: unknown key.*"beta"/],
    ["sampler.step=3", /step: unknown key.*"steps"/],
    ["reward.kk=3", /kk: unknown key.*"k"/],
    ["objective.reverse=sampeld", /reverse.*"td".*"sampled"|reverse.*td.*sampled/],
  ])("%s", async (set, message) => {
    expect(await refusal(absent, set)).toMatch(message);
  });

  test.each([
    ["sampler.kind=DDPM-solver", /sampler.*DDPM-solver.*Known: ddim, ddpm, flow/], // trap 24: no silent fallback
    ["sampler.kind=dpm", /sampler.*dpm.*"ddpm"/],
    ["objective.kind=nabla", /objective.*nabla.*Known: adjoint-matching, .*ddpo, .*residual-nabla-db/],
    ["objective.kind=trajectory-balanse", /objective.*trajectory-balanse.*"trajectory-balance"/],
    ["reward.kind=linaer", /reward.*linaer.*"linear"/],
    ["model.kind=gausian-mixture", /model.*gausian-mixture.*"gaussian-mixture"/],
  ])("%s", async (set, message) => {
    expect(await refusal(absent, set)).toMatch(message);
  });

  test("names are taken as they are written: another case is another name", async () => {
    expect(await refusal(absent, "sampler.kind=DDIM")).toMatch(/"ddim"/);
  });

  test("keys inside a model are checked before anything is loaded", async () => {
    expect(await refusal(absent, "model.revision=main")).toMatch(/revision: unknown key/);
    expect(await refusal(plane, "model.stds=[1, 2]")).toMatch(/stds.*3 means/);
  });
});

describe("combinations that cannot work are refused", () => {
  const taken = [...rewardKinds];
  afterEach(() => {
    (rewardKinds as RewardKind[]).splice(0, rewardKinds.length, ...taken);
  });
  const addHostReward = () => {
    const filesize = defineReward({
      kind: "filesize",
      summary: "a reward that runs on the host",
      options: z.strictObject({}),
      host: async ({ prompts }) => new Float32Array(prompts.length),
    });
    (rewardKinds as RewardKind[]).push(filesize as RewardKind);
  };

  test("a host reward with residual ∇-DB: told with an objective and the rewards that fit", async () => {
    addHostReward();
    const message = await refusal({ ...absent, reward: { kind: "filesize" } });
    expect(message).toMatch(/residual-nabla-db needs a differentiable reward, but "filesize" runs on the host/);
    // the objectives that know of no ∇r, and those only
    expect(message).toContain(
      'Use objective.kind "ddpo" or "diffusion-nft" or "flow-grpo" or "trajectory-balance", or a graph reward',
    );
    for (const { kind, differentiable } of taken) if (differentiable) expect(message).toContain(kind);
    expect(message.match(/filesize/g)).toHaveLength(1); // not offered as a way out
  });

  test("… in a weighted sum and in a world of one prompt too; objectives named there take it", async () => {
    addHostReward();
    const sum = [
      { kind: "linear", k: [1], weight: 2 },
      { kind: "filesize", weight: 1 },
    ];
    expect(await refusal({ ...absent, reward: sum })).toMatch(/"filesize" runs on the host/);
    const prompts = { only: { model: { means: [[0]], stds: 1 }, reward: { kind: "filesize" } } };
    expect(await refusal({ ...apart, prompts })).toMatch(/"filesize" runs on the host/);
    for (const kind of ["ddpo", "flow-grpo", "trajectory-balance"]) {
      const accepted = configOf({ ...absent, objective: { kind }, reward: { kind: "filesize" } }, "train.accumulate=1");
      expect(accepted.reward).toEqual({ kind: "filesize" });
    }
  });

  test.each([
    ["objective.proximal=10", /proximal.*updatesPerRollout 1/],
    [
      "objective.kind=ddpo objective.estimator=score-function train.accumulate=1 train.updatesPerRollout=2",
      /score-function.*current policy.*updatesPerRollout is 2.*importance-sampling/,
    ],
    ["train.accumulate=7", /accumulate.*24 transitions.*7 does not divide 24; 6 does\./],
    ["train.accumulate=5 objective.kind=ddpo", /accumulate.*48 transitions.*5 does not divide 48/],
    [
      "objective.kind=flow-grpo objective.groupSize=5 train.accumulate=1",
      /flow-grpo draws groups of 5.*train\.trajectories is 8.*to 10/,
    ],
    ["objective.kind=trajectory-balance objective.groupSize=3", /trajectory-balance draws groups of 3.*to 9/],
    [
      "objective.kind=trajectory-balance objective.groupSize=4 train.accumulate=3",
      /trajectory-balance needs whole trajectories.*train\.accumulate.*divisor/,
    ],
    [
      "objective.kind=trajectory-balance objective.groupSize=4 train.accumulate=8",
      /trajectory-balance needs two trajectories or more of each prompt.*train\.accumulate.*divisor/,
    ],
    [
      // parts of 4 over groups of 3: the fourth trajectory is alone in the first part
      "objective.kind=trajectory-balance objective.groupSize=3 train.trajectories=12 train.accumulate=3",
      /trajectory-balance needs two trajectories or more of each prompt/,
    ],
    ["objective.lambda=0.5 objective.reverse=sampled", /lambda.*reverse td only/],
    ["objective.lambda=0.5 objective.priorStrength=0.5", /lambda.*priorStrength 1/],
    ["sampler.kind=ddim", /noise in every step.*"ddim".*σ = 0.*eta/],
    [
      "sampler.kind=ddim sampler.eta=0 objective.kind=ddpo train.accumulate=1",
      /ddpo needs.*noise in every step.*σ = 0/,
    ],
    ["sampler.kind=ddim sampler.eta=0.3", /forgets its start.*"ddim".*"ddpo"/],
    ["sampler.kind=flow sampler.noise=0.7", /forgets its start.*"flow".*"ddpo"/],
    ["train.updates=0", /train\.updates/],
    ["objective.beta=-1", /beta/],
    ["objective.priorStrength=0", /priorStrength/],
    ["train.ema=1", /train\.ema/],
  ])("%s", async (set, message) => {
    expect(await refusal(absent, ...set.split(" "))).toMatch(message);
  });

  test("a grid that does not start at noise, once the model's schedule is known", async () => {
    expect(await refusal(plane, "sampler.steps=2")).toMatch(/forgets its start.*grid must start at noise/);
    expect((await partsOf(plane, "sampler.steps=2", "sampler.grid=trailing")).chain.memoryless).toBe(true);
    expect((await partsOf(plane, "sampler.steps=2", "objective.kind=ddpo")).chain.memoryless).toBe(false);
  });

  test("what is near to a refusal and works is accepted", async () => {
    for (const set of [
      ["objective.proximal=10", "train.updatesPerRollout=2"],
      ["train.accumulate=6"],
      ["objective.kind=flow-grpo", "objective.groupSize=4", "train.accumulate=48"], // compares rewards, not in its loss
      ["objective.kind=trajectory-balance", "objective.groupSize=8", "train.accumulate=4"],
      ["objective.kind=trajectory-balance", "objective.groupSize=2", "train.accumulate=2"],
      ["sampler.kind=ddim", "sampler.eta=1"],
      ["sampler.kind=ddim", "sampler.eta=0.3", "objective.kind=ddpo"],
      ["objective.lambda=1", "objective.reverseWeight=0"],
    ]) {
      await expect(partsOf(plane, ...set), set.join(" ")).resolves.toBeDefined();
    }
  });

  test("a missing reward is told", async () => {
    expect(await refusal({ ...absent, reward: undefined })).toMatch(/reward.*missing/);
  });
});

describe("what is left out", () => {
  test("takes the default of the model's kind, and config.json would hold it", () => {
    const { model, reward, sampler, objective, train } = configOf({
      model: plane.model,
      reward: { kind: "quadratic", center: [0, 0] },
      sampler: { kind: "ddpm", steps: 20 },
      objective: { kind: "residual-nabla-db", beta: 1 },
      train: { updates: 800 },
    });
    expect(model).toMatchObject({ kind: "gaussian-mixture" });
    expect(reward).toEqual({ kind: "quadratic", center: [0, 0], tau: 1 });
    expect(sampler).toEqual({ kind: "ddpm", steps: 20, grid: "leading", guidance: 1 });
    expect(objective).toEqual({
      kind: "residual-nabla-db",
      beta: 1,
      priorStrength: 1,
      base: "pretrained",
      reverse: "td",
      gradients: "semi",
      lambda: 0,
      steps: 1,
      chain: "memoryless",
      weighting: "sigma",
      reverseWeighting: "root-sigma",
      cleanPrediction: "frozen",
      attenuation: "squared",
      reverseWeight: 1,
      terminalWeight: 1,
      proximal: 0,
    });
    const optimizer = { lr: 2e-3, betas: [0.9, 0.95], weightDecay: 0, clip: 1, decayAt: 0.7 };
    expect(train).toMatchObject({
      updates: 800,
      trajectories: 80,
      strata: 5,
      updatesPerRollout: 1,
      seed: 0,
      optimizer,
    });
  });

  test("--set wins over --model and --reward, which win over the file", async () => {
    const { resolveConfig } = await import("../src/train/config.ts");
    const resolved = resolveConfig({
      file: JSON.parse(JSON.stringify(plane)),
      named: { reward: { kind: "linear", k: [1, 2] } },
      set: ["reward.k=[3, 4]", "train.seed=9"],
      source: "file",
    });
    expect(resolved.reward).toEqual({ kind: "linear", k: [3, 4] });
    expect(resolved.train.seed).toBe(9);
    expect(resolved.train.trajectories).toBe(8);
  });

  test("a resolved configuration is a fixed point: resolving it again changes nothing", () => {
    for (const file of [plane, apart, absent, { ...plane, objective: { kind: "ddpo" } }]) {
      const once = configOf(file);
      expect(configOf(once as unknown as ConfigData)).toEqual(once);
    }
  });
});
