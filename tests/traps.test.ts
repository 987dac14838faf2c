import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { ddpo, residualNablaDb } from "../src/objectives/index.ts";
import { AdamW } from "../src/optim/index.ts";
import { findCheckpoint, readCheckpoint } from "../src/run/index.ts";
import { minibatch } from "../src/train/minibatch.ts";
import { chooseTransitions, stratifiedSteps } from "../src/train/transitions.ts";
import { relativeError } from "./tolerances.ts";
import { withRollout } from "./worlds/rollouts.ts";
import { type ProgramRun, spyRuntime } from "./worlds/spy.ts";
import { train } from "./worlds/training.ts";
import { drawnTransitions, trace } from "./worlds/transitions.ts";
import { apart, configOf, partsOf, plane, withObjective } from "./worlds/worlds.ts";

// Mistakes of released code for ∇-GFlowNets, each as a law that it would break; the numbers are those of the list in
// methods B.10. Others of the list are laws of residual-nabla-db.test.ts (10, 12, 13, 14, 17), resume.test.ts (22) and
// config.test.ts (24), and finetune.test.ts trains with shuffled prompts (5).

const everyTransition = (count: number, T: number) => chooseTransitions(count, T, { kind: "all" });

describe("3: a stored transition is scored as it was drawn", () => {
  const config = configOf({ ...apart, objective: { kind: "ddpo" } });

  test("(x_{i+1} − μ)/σ is the noise of the rollout's seed, and its log-probability is that of the old policy", () =>
    withRollout(config, ({ rollout, programs, parts }) => {
      const { chain, model } = parts;
      const chosen = everyTransition(rollout.trajectories.count, chain.T);
      const { inputs } = programs.update;
      const feeds = minibatch(parts, programs.conditions, rollout, chosen, inputs);
      const noise = chosen.map(
        ({ trajectory, i }) => new Rng(0).normal(1, { purpose: "rollout", sample: trajectory, step: i + 1 })[0]!,
      );
      expect(model.shape).toEqual([1]);
      const z = chosen.map(({ trajectory, i }, b) => {
        const { d1, d2, sigma } = chain.steps[i]!;
        const out = rollout.trajectories.outputs[i]![trajectory]!;
        return (feeds.xNext![b]! - d1 * feeds.x![b]! - d2 * out) / sigma;
      });
      // float32 states, divided by σ down to 0.007
      expect(relativeError(z, noise)).toBeLessThan(1e-4);

      const transitions = chosen.map(({ trajectory, i }, b) => ({
        i,
        x: [feeds.x![b]!],
        xNext: [feeds.xNext![b]!],
        prompt: rollout.trajectories.prompts[trajectory]!,
      }));
      const more = { advantage: noise, oldLogProb: noise };
      const { batch, values } = trace(parts, transitions, { more });
      expect(relativeError(values([batch.logProb])[0]!, feeds.oldLogProb!)).toBeLessThan(1e-4);
    }));

  test("scoring twice gives the same: no noise is drawn", () =>
    withRollout(config, async ({ rollout, programs, parts }) => {
      const chosen = everyTransition(rollout.trajectories.count, parts.chain.T);
      const feeds = minibatch(parts, programs.conditions, rollout, chosen, programs.update.inputs);
      const params = parts.adaptation.init(new Rng(0));
      const weights = Object.fromEntries(Object.entries(params).map(([name, { data }]) => [`policy.${name}`, data]));
      const losses = async () => (await programs.update.run({ ...weights, ...feeds }))["loss.policy.surrogate"]![0];
      expect(await losses()).toBe(await losses());
    }));
});

describe("5: conditions and rewards are told the prompts of the minibatch's own trajectories", () => {
  const set = ["train.trajectories=16", "train.block=16"];

  test("in any order of transitions", () =>
    withRollout(configOf(apart, ...set), ({ rollout, programs, parts }) => {
      const { prompts } = rollout.trajectories;
      const all = everyTransition(prompts.length, parts.chain.T);
      const order = new Rng(0).permutation(all.length, { purpose: "test" });
      const chosen = Array.from(order, (k) => all[k]!);
      const feeds = minibatch(parts, programs.conditions, rollout, chosen, programs.update.inputs);
      const own = chosen.flatMap(({ trajectory }) => (prompts[trajectory] === "up" ? [1, 0] : [0, 1]));
      expect([...feeds.promptFeatures!]).toEqual(own);
      expect([...feeds["condition.prompt"]!]).toEqual(own);
      const lastBatch = chosen.flatMap((_, b) => (prompts[b % prompts.length] === "up" ? [1, 0] : [0, 1]));
      expect(lastBatch).not.toEqual(own); // what the released code passes
    }));

  test("∇r at x_T has the sign of the own prompt, and the stored reward is that of the own prompt", () =>
    withRollout(configOf(apart, ...set), ({ rollout, parts }) => {
      const { prompts, states } = rollout.trajectories;
      const sign = prompts.map((prompt) => (prompt === "up" ? 1 : -1));
      const end = states[parts.chain.T]!;
      expect(
        relativeError(
          rollout.rewards,
          end.map((x, k) => sign[k]! * x),
        ),
      ).toBe(0);
      const transitions = prompts.map((prompt, k) => ({ i: parts.chain.T - 1, x: [0], xNext: [end[k]!], prompt }));
      const { batch, values } = trace(parts, transitions);
      expect([...values([batch.next.rewardGradient(batch.next.x)])[0]!]).toEqual(sign);
    }));
});

test("6: what a part can do counts, not its name", async () => {
  const config = configOf(apart, "train.updates=2");
  const parts = await partsOf(apart);
  const renamed = {
    ...parts,
    reward: { ...parts.reward, kind: "aesthetic_score" },
    objective: { ...parts.objective, kind: "made-elsewhere" },
    model: { ...parts.model, kind: "another" },
  };
  const [first, second] = [await train(config, { parts }), await train(config, { parts: renamed })];
  expect(second.policy).toEqual(first.policy);
  expect(second.steps.map(({ losses }) => losses)).toEqual(first.steps.map(({ losses }) => losses));
});

describe("7: one optimizer step per update and network", () => {
  test.each([1, 2])("with %d parts of a batch and two updates a rollout", async (pieces) => {
    const path = mkdtempSync(join(tmpdir(), "nablaflow-steps-"));
    const set = ["train.updates=6", "train.updatesPerRollout=2", `train.accumulate=${pieces}`];
    await train(configOf(plane, ...set), { path });
    const { state, step } = await readCheckpoint((await findCheckpoint(path))!.path);
    rmSync(path, { recursive: true });
    expect(step).toBe(6);
    expect(state).toMatchObject({ optimizerSteps: { policy: 6, flow: 6 } });
  });

  test("the first update moves no parameter by more than the learning rate, and most by that", async () => {
    const lr = 1e-3;
    const { policy, parts } = await train(configOf(plane, "train.updates=1", `train.optimizer.lr=${lr}`));
    const start = parts.adaptation.init(new Rng(0));
    const moves = Object.entries(policy).flatMap(([name, { data }]) =>
      [...data].map((value, k) => Math.abs(value - start[name]!.data[k]!)),
    );
    const largest = Math.max(...moves);
    expect(largest).toBeGreaterThan(0.99 * lr);
    expect(largest).toBeLessThan(1.01 * lr);
    // two steps, as in the released code, would move twice as far
    const p = { p: { shape: [1], data: new Float32Array(1) } };
    const twice = new AdamW({ betas: [0.9, 0.95] });
    for (let k = 0; k < 2; k++) twice.step(p, { p: { shape: [1], data: Float32Array.of(1) } }, lr);
    expect(Math.abs(p.p.data[0]!)).toBeGreaterThan(1.99 * lr);
  });
});

test("9: g_φ is zero everywhere at the start: its last weights are zero, not only the bias", async () => {
  for (const file of [plane, apart]) {
    const parts = await partsOf(file);
    const transitions = drawnTransitions(parts);
    for (const seed of [0, 1]) {
      const flow = parts.model.flow.init(new Rng(seed));
      const { batch, values } = trace(parts, transitions, { flow });
      expect(values([batch.state.flow, batch.next.flow]).every((g) => g.every((v) => v === 0))).toBe(true);
      expect(Object.values(flow).some(({ data }) => data.some((v) => v !== 0))).toBe(true); // … and can learn
    }
  }
});

test("11: the reverse loss of the last transition trains g_φ, towards the true reward at x_T", async () => {
  const parts = await partsOf(plane);
  const last = drawnTransitions(parts).slice(-1);
  for (const reverse of ["td", "mean", "sampled"] as const) {
    const own = withObjective(parts, residualNablaDb({ reverse, terminalWeight: 0 }));
    const { losses, slope } = trace(own, last);
    const slopes = slope(losses.flow!.reverse!, "flow");
    expect(Math.max(...slopes.map(Math.abs)), reverse).toBeGreaterThan(1e-5);
  }
  const own = withObjective(parts, residualNablaDb({}));
  const value = (xNext: number[]) => {
    const traced = trace(own, [{ ...last[0]!, xNext }]);
    return traced.value(traced.losses.flow!.reverse!);
  };
  expect(value([0.5, -0.5])).not.toBe(value([2, 1])); // ∇r(x_T) is 0 at the centre and not elsewhere
});

describe("15: an update trains on the rollout just drawn, with the weights that drew it", () => {
  const rowsOf = (data: ArrayLike<number>, size: number) =>
    Array.from({ length: data.length / size }, (_, k) => Array.from({ length: size }, (_, d) => data[k * size + d]));
  const weightsOf = ({ feeds }: ProgramRun) =>
    Object.entries(feeds)
      .filter(([name]) => name.startsWith("policy."))
      .sort(([a], [b]) => (a < b ? -1 : 1));

  /** Splits runs into updates: the sampling runs before each, and the update itself. */
  function updatesOf(runs: readonly ProgramRun[]) {
    const updates: { sampling: ProgramRun[]; update: ProgramRun }[] = [];
    let sampling: ProgramRun[] = [];
    for (const run of runs) {
      if (run.program === "sample") sampling.push(run);
      if (run.program !== "update") continue;
      updates.push({ sampling, update: run });
      sampling = [];
    }
    return updates;
  }

  function isFresh({ sampling, update }: { sampling: ProgramRun[]; update: ProgramRun }): boolean {
    const drawn = new Set(
      sampling.flatMap(({ feeds, results }) => {
        const next = rowsOf(results.xNext!, 2);
        return rowsOf(feeds.x!, 2).map((row, k) => JSON.stringify([row, next[k]]));
      }),
    );
    const next = rowsOf(update.feeds.xNext!, 2);
    const own = rowsOf(update.feeds.x!, 2).every((row, k) => drawn.has(JSON.stringify([row, next[k]])));
    return own && sampling.every((run) => JSON.stringify(weightsOf(run)) === JSON.stringify(weightsOf(update)));
  }

  test("every update of a run", async () => {
    const { runtime, runs } = spyRuntime();
    await train(configOf(plane, "train.updates=4"), { runtime });
    const updates = updatesOf(runs);
    expect(updates).toHaveLength(4);
    expect(updates.map(isFresh)).toEqual([true, true, true, true]);
    const starts = updates.map(({ sampling }) => JSON.stringify([...sampling[0]!.feeds.x!]));
    expect(new Set(starts).size).toBe(4); // new noise each time
    // the released code trains on the trajectories of the epoch before
    const stale = updates.slice(1).map(({ update }, k) => ({ sampling: updates[k]!.sampling, update }));
    expect(stale.map(isFresh)).toEqual([false, false, false]);
  });

  test("with two updates a rollout, the second is on the same trajectories", async () => {
    const { runtime, runs } = spyRuntime();
    await train(configOf(plane, "train.updates=4", "train.updatesPerRollout=2"), { runtime });
    expect(updatesOf(runs).map(({ sampling }) => sampling.length)).toEqual([6, 0, 6, 0]);
  });
});

describe("16: steps that are trained on", () => {
  const shape = fc.record({ T: fc.integer({ min: 1, max: 60 }), strata: fc.integer({ min: 1, max: 70 }) });

  test("lie in 0 … T−1: one in each stratum, then the last", () => {
    fc.assert(
      fc.property(shape, fc.nat(1000), ({ T, strata }, update) => {
        const steps = stratifiedSteps(T, strata, new Rng(0), { sample: 0, step: update });
        expect(steps).toHaveLength(strata + 1);
        expect(steps.at(-1)).toBe(T - 1);
        steps.slice(0, -1).forEach((i, k) => {
          expect(Number.isInteger(i) && i >= Math.floor((k * T) / strata)).toBe(true);
          expect(i).toBeLessThan(Math.min(((k + 1) * T) / strata, T));
        });
      }),
    );
  });

  test("are uniform over the chain, besides the last", () => {
    for (const [T, strata] of [
      [20, 5],
      [7, 3],
      [3, 5],
    ] as const) {
      const n = 4000;
      const counts = new Array<number>(T).fill(0);
      for (let sample = 0; sample < n; sample++) {
        for (const i of stratifiedSteps(T, strata, new Rng(1), { sample, step: 0 }).slice(0, -1)) counts[i]!++;
      }
      const expected = (n * strata) / T;
      for (const count of counts) expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
    }
  });

  test("are drawn anew for every trajectory and every update", () => {
    const of = (update: number) =>
      chooseTransitions(4, 50, { kind: "strata", strata: 5, rng: new Rng(0), update }).map(({ i }) => i);
    const drawn = [0, 1, 2].flatMap((update) =>
      [0, 1, 2, 3].map((k) =>
        of(update)
          .slice(6 * k, 6 * k + 6)
          .join(),
      ),
    );
    expect(new Set(drawn).size).toBe(12);
  });

  test("a chain shorter than the number of strata trains", async () => {
    const short = ["sampler.steps=2", "sampler.grid=trailing", "train.strata=5", "train.updates=2"];
    const { steps } = await train(configOf(plane, ...short));
    expect(steps).toHaveLength(2);
  });

  test("are all of them, once, for objectives that use the whole chain", () => {
    expect(ddpo().transitions).toBe("all");
    const chosen = chooseTransitions(3, 4, { kind: "all" });
    expect(chosen).toHaveLength(12);
    expect(new Set(chosen.map(({ trajectory, i }) => `${trajectory}/${i}`)).size).toBe(12);
  });
});

test("18: the state after a step is at the grid's next entry, on uneven grids too", async () => {
  for (const grid of ["leading", "trailing", "karras"]) {
    const config = configOf(plane, `sampler.grid=${grid}`, "sampler.steps=7");
    await withRollout(config, ({ rollout, programs, parts }) => {
      const { chain } = parts;
      const chosen = everyTransition(1, chain.T);
      const feeds = minibatch(parts, programs.conditions, rollout, chosen, programs.update.inputs);
      const columns = feeds["xNext.columns"]!.length / chosen.length;
      const times = chosen.map((_, b) => feeds["xNext.columns"]![b * columns]!);
      const powers = chosen.map((_, b) => feeds["xNext.columns"]![b * columns + 1]!);
      expect(times).toEqual(chain.levels.slice(1).map(({ t }) => Math.fround(t)));
      expect(powers).toEqual(chain.levels.slice(1).map(({ alphaBar }) => Math.fround(alphaBar)));
      // t − (t_0 − t_1), as in the released code, leaves every grid here
      const [first, second] = chain.levels;
      const assumed = chain.steps.map(({ t }) => t - (first!.t - second!.t));
      expect(relativeError(times, assumed)).toBeGreaterThan(0.01);
    });
  }
});
