import { describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import { adjointMatching } from "../src/objectives/adjoint-matching.ts";
import { objectiveKinds } from "../src/objectives/kinds.ts";
import { hostRewardRefused } from "../src/train/config.ts";
import { prepare } from "../src/train/prepare.ts";
import { relativeError } from "./tolerances.ts";
import { withRollout } from "./worlds/rollouts.ts";
import { tabular } from "./worlds/tabular.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { apart, configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const own = (file: object, beta = 1.5) => ({ ...file, objective: { kind: "adjoint-matching", beta } });

describe("residual ∇-DB with lambda 1 and no flow network is the same method", () => {
  test.each([
    ["one prompt", plane],
    ["two prompts with rewards of their own", apart],
  ])("%s: the same weights, losses and norms to the last bit", async (_, file) => {
    const set = ["train.updates=3"];
    const objective = { kind: "residual-nabla-db", beta: 1.5, lambda: 1, reverseWeight: 0 };
    const expected = await train(configOf({ ...file, objective }, ...set));
    const found = await train(configOf(own(file), ...set));
    expect(found.policy).toEqual(expected.policy);
    expect(found.steps.map(({ losses }) => losses["policy.adjoint"])).toEqual(
      expected.steps.map(({ losses }) => losses["policy.forward"]),
    );
    expect(found.steps.map(({ gradientNorm }) => gradientNorm)).toEqual(
      expected.steps.map(({ gradientNorm }) => gradientNorm),
    );
    expect(found.steps[0]!.losses["policy.adjoint"]).toBeGreaterThan(1e-2);
  });
});

test("residual ∇-DB with returns of T steps or more and no flow network is the same method, to rounding", async () => {
  const set = ["train.updates=3"];
  const { steps: expected } = await train(configOf(own(plane), ...set));
  for (const steps of [6, 9]) {
    const objective = { kind: "residual-nabla-db", beta: 1.5, steps, reverseWeight: 0 };
    const { steps: found } = await train(configOf({ ...plane, objective }, ...set));
    found.forEach(({ losses }, u) => {
      expect(Math.abs(losses["policy.forward"]! / expected[u]!.losses["policy.adjoint"]! - 1)).toBeLessThan(1e-5);
    });
  }
});

test("zero reward: the pretrained policy is the answer, nothing moves", async () => {
  const config = configOf(own({ ...plane, reward: { kind: "linear", k: [0, 0] } }), "train.updates=2");
  const { steps } = await train(config);
  for (const { losses, gradientNorm } of steps) {
    expect(losses).toEqual({ "policy.adjoint": 0 });
    expect(gradientNorm).toEqual({ policy: 0 });
  }
});

describe("linear reward k·x on the prior N(0, I), DDPM chain", () => {
  const k = [0.5, -1.25];
  const beta = 1.5;

  test("the adjoint is βk√(ᾱ_i/ᾱ_T), whatever the trajectory", () =>
    withRollout(configOf(own(normal)), ({ rollout, parts: { chain } }) => {
      const alphaT = chain.levels[chain.T]!.alphaBar;
      for (let i = 0; i < chain.T; i++) {
        const ratio = Math.sqrt(chain.levels[i + 1]!.alphaBar / alphaT);
        const expected = rollout.trajectories.prompts.flatMap(() => k.map((kd) => beta * kd * ratio));
        expect(relativeError(rollout.returns!.next[i]!, expected), `ã_${i + 1}`).toBeLessThan(2e-5);
      }
    }));

  test("at the start the gradient by ε_θ is −2 d₂ ã per element: σ² cancels", async () => {
    const parts = tabular(withObjective(await partsOf(normal), adjointMatching({ beta })));
    const { chain } = parts;
    const transitions = drawnTransitions(parts);
    const adjoint = transitions.flatMap(({ i }) => [0.25 + i, -0.5 * i]);
    const { losses, slope } = trace(parts, transitions, { more: { "returns.next": adjoint } });
    // ∂/∂ε Σ (d₂ε/σ − σã)² / (elements) at ε = 0
    const expected = chain.steps.flatMap(({ d2 }, i) =>
      [0, 1].map((d) => (-2 * d2 * adjoint[2 * i + d]!) / adjoint.length),
    );
    expect(relativeError(slope(losses.policy!.adjoint!, "policy"), expected, 1e-9)).toBeLessThan(1e-9);
  });

  test("70 updates find the law: E[x_T] moves by βk Σ σ_i² Π a_j²", async () => {
    const set = ["sampler.steps=10", "train.updates=70", "train.trajectories=4", "train.block=4"];
    const config = configOf(own(normal), ...set, "train.optimizer.lr=0.05", "train.checkpointEvery=1000");
    const parts = tabular(await prepare(config));
    const { policy } = await train(config, { parts });
    const factor = parts.chain.steps.reduce((sum, { sigma, a }) => sum * a * a + sigma * sigma, 0);
    const before = await samplesOf(parts, undefined, [""]);
    const after = await samplesOf(parts, policy, [""]);
    k.forEach((kd, d) => {
      expect(Math.abs((after[d]! - before[d]!) / (beta * kd * factor) - 1)).toBeLessThan(0.05);
    });
  });
});

test("the adjoint is stopped, and there is no flow loss", async () => {
  const parts = withObjective(await partsOf(plane), adjointMatching());
  expect(parts.objective.needs).not.toContain("flow");
  const more = { "returns.next": new Array<number>(12).fill(0.5) };
  const { losses, slope } = trace(parts, drawnTransitions(parts), { ...movedParams(parts), more });
  expect(losses.flow).toBeUndefined();
  expect(slope(losses.policy!.adjoint!, "policy").some((g) => Math.abs(g) > 1e-6)).toBe(true);
});

describe("refusals", () => {
  test("a chain that remembers its start", async () => {
    const config = configOf(own(plane), "sampler.kind=ddim", "sampler.eta=0.5");
    await expect(prepare(config)).rejects.toThrow(ConfigError);
    await expect(prepare(config)).rejects.toThrow(/adjoint-matching.*forgets its start.*ddpm/s);
  });

  test("a reward that runs on the host: told which rewards and which objective would do", async () => {
    const config = configOf(own(plane));
    const host = { kind: "filesize", options: {}, load: async () => ({ kind: "filesize", differentiable: false }) };
    const refused = prepare({ ...config, reward: host as never });
    await expect(refused).rejects.toThrow(hostRewardRefused("adjoint-matching", "filesize", "reward").message);
    await expect(refused).rejects.toThrow(/ddpo.*quadratic/);
  });

  test("options that are not its own, as one of the kinds that a configuration can name", () => {
    expect(objectiveKinds).toContain(adjointMatching);
    expect(() => configOf(own(plane), "objective.lambda=0.5")).toThrow(/lambda/);
    expect(() => configOf(own(plane), "objective.beta=-1")).toThrow(/beta/);
  });
});
