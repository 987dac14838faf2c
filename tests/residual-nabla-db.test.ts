import { describe, expect, test } from "vitest";
import { gaussian } from "../src/diffusion/index.ts";
import { residualNablaDb } from "../src/objectives/index.ts";
import type { TransitionState } from "../src/objectives/objective.ts";
import { linear } from "../src/rewards/index.ts";
import { dependsOn, gradient, type Tensor, vjp } from "../src/tensor/index.ts";
import type { Parts } from "../src/train/prepare.ts";
import { relativeError } from "./tolerances.ts";
import { tableOf, tabular } from "./worlds/tabular.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf } from "./worlds/training.ts";
import { drawnTransitions, movedParams, total, trace } from "./worlds/transitions.ts";
import { normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const forms = ["td", "mean", "sampled"] as const;
const networks = ["frozen", "policy"] as const;
const attenuations = ["squared", "linear", "none", "zero"] as const;
const exact = 1e-12;

const worldParts = await partsOf(plane);
const planeParts = tiny(worldParts);
const normalParts = await partsOf(normal);
const { chain } = normalParts;
const k = [0.5, -1.25];
const beta = 1.5;

/** h of a state under the given options; options that return values along trajectories state it. */
const gradLogFlow = (options: object, state: TransitionState): Tensor =>
  residualNablaDb({ beta, lambda: 0.5, ...options }).returns!.value(state);

describe("zero reward", () => {
  const cases = forms.flatMap((reverse) => networks.map((cleanPrediction) => ({ reverse, cleanPrediction })));
  const largestOf = (parts: Parts, options: object) => {
    const own = withObjective(parts, residualNablaDb({ beta, ...options }));
    const { losses, value, slope } = trace(own, drawnTransitions(parts));
    const values = [...Object.values(losses.policy!), ...Object.values(losses.flow!)].map(value);
    const slopes = [...slope(total(losses.policy!), "policy"), ...slope(total(losses.flow!), "flow")];
    return Math.max(...[...values, ...slopes].map(Math.abs));
  };

  test.each([
    ...cases.map((options) => ({ name: "small networks", parts: planeParts, ...options })),
    { name: "a world's own networks", parts: worldParts, reverse: "td", cleanPrediction: "frozen" } as const,
  ])(
    "$name, $reverse, x̂ of the $cleanPrediction one: the pretrained policy is the answer, losses and gradients are 0",
    async ({ parts, name: _, ...options }) => {
      const reward = await linear({ k: [0, 0] }).load();
      expect(largestOf({ ...parts, reward }, options)).toBe(0);
      expect(largestOf(parts, options)).toBeGreaterThan(1e-2);
    },
  );
});

describe("linear reward k·x on the prior N(0, I), DDPM chain", () => {
  const alphaT = chain.levels[chain.T]!.alphaBar;
  const ratioToEnd = (i: number) => Math.sqrt(chain.levels[i]!.alphaBar / alphaT);
  const transitions = drawnTransitions(normalParts);
  const parts = tabular(normalParts);
  const traced = (options: object, tables = {}) =>
    trace(withObjective(parts, residualNablaDb({ beta, ...options })), transitions, tables);

  test("the frozen kernel's Jacobian is a_i", () => {
    const { batch, values } = traced({});
    const cotangent = batch.next.x;
    const [pulled, v] = values([batch.state.reference.pullBack({ mean: cotangent }), cotangent]);
    const expected = chain.steps.flatMap(({ a }, i) => [a * v![2 * i]!, a * v![2 * i + 1]!]);
    expect(relativeError(pulled!, expected)).toBeLessThan(exact);
  });

  test("the frozen predicted-reward gradient is γ βk√ᾱ_i, and βk at the end whatever the attenuation", () => {
    const gammas = {
      squared: (alphaBar: number) => alphaBar,
      linear: Math.sqrt,
      none: () => 1,
      zero: () => 0,
    };
    for (const attenuation of attenuations) {
      const { batch, values } = traced({});
      const [h, hNext] = values([
        gradLogFlow({ attenuation, cleanPrediction: "frozen" }, batch.state),
        gradLogFlow({ attenuation, cleanPrediction: "frozen" }, batch.next),
      ]);
      const expected = (i: number) => {
        const { alphaBar } = chain.levels[i]!;
        const factor = i === chain.T ? 1 : gammas[attenuation](alphaBar) * Math.sqrt(alphaBar);
        return k.map((kd) => factor * beta * kd);
      };
      expect(
        relativeError(
          h!,
          transitions.flatMap(({ i }) => expected(i)),
        ),
      ).toBeLessThan(exact);
      expect(
        relativeError(
          hNext!,
          transitions.flatMap(({ i }) => expected(i + 1)),
        ),
      ).toBeLessThan(exact);
    }
  });

  /** h_i = βk√(ᾱ_i/ᾱ_T), constant in x. */
  const h = (i: number) => k.map((kd) => beta * kd * ratioToEnd(i));
  /** What g_φ must add to the predicted gradient at γ = 1: βk√ᾱ_i (1/√ᾱ_T − 1). */
  const flow = tableOf(
    chain.steps.map(({ alphaBar }) => k.map((kd) => beta * kd * Math.sqrt(alphaBar) * (1 / Math.sqrt(alphaT) - 1))),
  );
  /** ε_θ − ε_# of the policy with Δ_i = h_{i+1}: σ² h_{i+1}/d₂. */
  const policy = tableOf(chain.steps.map(({ sigma, d2 }, i) => h(i + 1).map((value) => (sigma ** 2 * value) / d2)));
  const flipped = tableOf(chain.steps.map((_, i) => [...policy.table!.data.slice(2 * i, 2 * i + 2)].map((v) => -v)));

  test("h_i = βk√(ᾱ_i/ᾱ_T) and Δ_i = h_{i+1} make every loss 0, in each form; another sign or scale does not", () => {
    for (const reverse of forms) {
      for (const weighting of ["sigma", "one"] as const) {
        const options = { reverse, weighting, attenuation: "none", terminalWeight: 0 } as const;
        const solved = traced(options, { policy, flow });
        expect(solved.value(total(solved.losses.policy!)), `forward, ${reverse}`).toBeLessThan(1e-20);
        expect(solved.value(solved.losses.flow!.reverse!), `reverse, ${reverse}`).toBeLessThan(1e-20);
        const [found] = solved.values([gradLogFlow({ attenuation: "none" }, solved.batch.state)]);
        expect(
          relativeError(
            found!,
            transitions.flatMap(({ i }) => h(i)),
          ),
        ).toBeLessThan(exact);

        const wrong = traced(options, { policy: flipped, flow });
        expect(wrong.value(wrong.losses.policy!.forward!)).toBeGreaterThan(1e-3);
        const attenuated = traced({ ...options, attenuation: "squared" }, { policy, flow });
        expect(attenuated.value(attenuated.losses.flow!.reverse!)).toBeGreaterThan(1e-6);
      }
    }
  });

  test("under the exact policy every sample moves by βk Σ_i σ_i² Π_{j>i} a_j²", async () => {
    const factor = chain.steps.reduce((sum, { sigma, a }) => sum * a * a + sigma * sigma, 0);
    // … which is the tilt of the sampler's own Gaussian, β Var[x_T] k, less what x_T still knows of x_0
    const variance = chain.steps.reduce((v, { sigma, a }) => v * a * a + sigma * sigma, 1);
    expect(factor).toBeCloseTo(variance - chain.levels[0]!.alphaBar / alphaT, 12);

    const prompts = new Array<string>(50).fill("");
    const float32 = { table: { shape: [chain.T, 2], data: Float32Array.from(policy.table!.data) } };
    const before = await samplesOf(parts, undefined, prompts);
    const after = await samplesOf(parts, float32, prompts);
    const shift = after.map((x, j) => x - before[j]!);
    expect(
      relativeError(
        shift,
        Array.from(shift, (_, j) => beta * k[j % 2]! * factor),
      ),
    ).toBeLessThan(1e-5);
  });
});

describe("a part trains only its own network", () => {
  test.each(forms.flatMap((reverse) => networks.map((cleanPrediction) => ({ reverse, cleanPrediction }))))(
    "$reverse, x̂ of the $cleanPrediction network: no θ-gradient of L←, no φ-gradient of L→",
    (options) => {
      for (const extra of [{}, { priorStrength: 0.5 }]) {
        const parts = withObjective(planeParts, residualNablaDb({ beta, ...options, ...extra }));
        const { losses, slope, trained } = trace(parts, drawnTransitions(parts), movedParams(parts));
        const forward = total(losses.policy!);
        const reverse = total(losses.flow!);
        expect(trained.policy.some((p) => dependsOn([reverse], p))).toBe(false);
        expect(trained.flow.some((p) => dependsOn([forward], p))).toBe(false);
        expect(Math.max(...slope(reverse, "policy").map(Math.abs))).toBe(0);
        expect(Math.max(...slope(forward, "flow").map(Math.abs))).toBe(0);
        expect(Math.max(...slope(reverse, "flow").map(Math.abs))).toBeGreaterThan(1e-3);
        expect(Math.max(...slope(forward, "policy").map(Math.abs))).toBeGreaterThan(1e-3);
      }
    },
  );

  test("the samples are stopped too: Δ's target does not depend on θ through x̂ of the policy", () => {
    // h_{i+1} of the policy's x̂ changes with θ; the gradient must be that of the loss with the target's value put in
    const parts = withObjective(planeParts, residualNablaDb({ beta, cleanPrediction: "policy", lambda: 0 }));
    const traced = trace(parts, drawnTransitions(parts), movedParams(parts));
    const { batch, losses } = traced;
    const [target] = traced.values([gradLogFlow({ cleanPrediction: "policy" }, batch.next)]);
    const fixed = residualNablaDb({ beta, cleanPrediction: "policy", lambda: 0.5 });
    const same = trace(withObjective(planeParts, fixed), drawnTransitions(parts), {
      ...movedParams(parts),
      more: { "returns.next": target!, "returns.pulledBack": target! },
    });
    const slope = traced.slope(losses.policy!.forward!, "policy");
    expect(relativeError(slope, same.slope(same.losses.policy!.forward!, "policy"), 1e-9)).toBeLessThan(1e-9);
  });
});

describe("reverse residuals", () => {
  const weighted = (residual: Tensor, sigma: Tensor) => residual.mul(sigma.sqrt()).square().mean();

  /** γβ∇ₓ r(x̂(x)) + g_φ(x) by a vjp of its own. */
  function separateH(state: TransitionState, cleanPrediction: "frozen" | "policy"): Tensor {
    const network = cleanPrediction === "frozen" ? state.reference : state.policy;
    const gamma = state.signal.square().mul(state.inside).add(state.inside.neg().add(1)); // squared, 1 at the end
    const pull = state.rewardGradient(network.x0Hat).mul(gamma).mul(beta).stopGradient();
    const predicted = vjp([network.x0Hat], [pull], [state.x])[0]!.stopGradient();
    return predicted.add(state.flow.mul(state.inside));
  }

  test.each(networks)(
    "td, x̂ of the %s network: h(x_i) − J_#ᵀ h(x_{i+1}), from two separate vjps",
    (cleanPrediction) => {
      const parts = withObjective(planeParts, residualNablaDb({ beta, cleanPrediction }));
      const { batch, losses, value, slope } = trace(parts, drawnTransitions(parts), movedParams(parts));
      const hNext = separateH(batch.next, cleanPrediction).stopGradient();
      const backed = vjp([batch.state.reference.mean], [hNext], [batch.state.x])[0]!.stopGradient();
      const expected = weighted(separateH(batch.state, cleanPrediction).sub(backed), batch.sigma);
      expect(value(losses.flow!.reverse!)).toBeCloseTo(value(expected), 13);
      expect(relativeError(slope(losses.flow!.reverse!, "flow"), slope(expected, "flow"))).toBeLessThan(exact);
    },
  );

  test("mean: h(x_i) − J_#ᵀ Δ_i", () => {
    const parts = withObjective(planeParts, residualNablaDb({ beta, reverse: "mean" }));
    const { batch, losses, value, slope } = trace(parts, drawnTransitions(parts), movedParams(parts));
    const delta = batch.state.policy.mean.sub(batch.state.reference.mean).div(batch.sigma.square()).stopGradient();
    const backed = vjp([batch.state.reference.mean], [delta], [batch.state.x])[0]!.stopGradient();
    const expected = weighted(separateH(batch.state, "frozen").sub(backed), batch.sigma);
    expect(value(losses.flow!.reverse!) / value(expected)).toBeCloseTo(1, 13);
    expect(relativeError(slope(losses.flow!.reverse!, "flow"), slope(expected, "flow"))).toBeLessThan(exact);
  });

  test.each([1, 0.5])(
    "sampled, η = %d: the difference of the current-state scores of π_θ and η·π_#, less (1−η) that of P_B",
    (eta) => {
      const parts = withObjective(planeParts, residualNablaDb({ beta, reverse: "sampled", priorStrength: eta }));
      const { batch, losses, value, slope } = trace(parts, drawnTransitions(parts), movedParams(parts));
      const { state, next, sigma, noising } = batch;
      const score = (mean: Tensor) => gaussian.scoreCurrent(state.x, next.x, mean, sigma);
      // ∇_x log P_B(x | x') = −(x − a x')/s²
      const scoreBack = next.x.mul(noising.scale).sub(state.x).div(noising.std.square());
      const scores = score(state.policy.mean)
        .sub(score(state.reference.mean).mul(eta))
        .sub(scoreBack.mul(1 - eta));
      const residual = scores.stopGradient().add(separateH(state, "frozen"));
      expect(relativeError([value(losses.flow!.reverse!)], [value(weighted(residual, sigma))])).toBeLessThan(exact);
      const expected = slope(weighted(residual, sigma), "flow");
      expect(relativeError(slope(losses.flow!.reverse!, "flow"), expected)).toBeLessThan(exact);
      // η scales the reference's score alone: scaled for both networks, or without P_B, it would be another loss
      if (eta === 1) return;
      const both = score(state.policy.mean)
        .sub(score(state.reference.mean))
        .mul(eta)
        .sub(scoreBack.mul(1 - eta));
      const without = scores.add(scoreBack.mul(1 - eta));
      for (const wrong of [both, without]) {
        const loss = weighted(wrong.stopGradient().add(separateH(state, "frozen")), sigma);
        expect(relativeError([value(losses.flow!.reverse!)], [value(loss)])).toBeGreaterThan(1e-3);
      }
    },
  );

  test("sampled: L_T is the mean of g_φ(x_T)² over the final transitions, however many others there are", () => {
    const parts = withObjective(planeParts, residualNablaDb({ beta, reverse: "sampled", terminalWeight: 3 }));
    const all = drawnTransitions(parts);
    const last = all.at(-1)!;
    const another = { ...last, xNext: [0.25, 1] };
    const params = movedParams(parts);
    const alone = trace(parts, [last, another], params);
    const [g] = alone.values([alone.batch.next.flow]);
    const expected = (3 * g!.reduce((sum, v) => sum + v * v, 0)) / g!.length;
    expect(alone.value(alone.losses.flow!.terminal!)).toBeCloseTo(expected, 12);
    const among = trace(parts, [...all, another], params);
    expect(among.value(among.losses.flow!.terminal!)).toBeCloseTo(expected, 12);
    const none = trace(parts, all.slice(0, -1), params);
    expect(none.value(none.losses.flow!.terminal!)).toBe(0);
  });
});

describe("the forward loss", () => {
  test("is least at Δ_i = the mean of h(x_{i+1}) over samples of x_{i+1}, and grows by the square around it", () => {
    const objective = residualNablaDb({ beta, reverse: "td" });
    const parts = tabular(withObjective(worldParts, objective));
    const first = drawnTransitions(parts)[2]!;
    const samples = [
      [0.5, -1],
      [-0.25, 0.75],
      [1, 0.25],
    ].map((xNext) => ({ ...first, xNext }));
    const { sigma, d2 } = parts.chain.steps[2]!;
    const flow = tableOf(parts.chain.steps.map(({ i }) => [0.1 * i, -0.2]));
    const start = trace(parts, samples, { flow });
    const [h] = start.values([gradLogFlow({}, start.batch.next)]);
    const mean = [0, 1].map((d) => (h![d]! + h![2 + d]! + h![4 + d]!) / 3);
    const at = (shift: number[]) => {
      const rows = parts.chain.steps.map(({ i }) =>
        i === 2 ? mean.map((m, d) => (sigma ** 2 * (m + shift[d]!)) / d2) : [0, 0],
      );
      return trace(parts, samples, { flow, policy: tableOf(rows) });
    };
    const least = at([0, 0]);
    expect(Math.max(...least.slope(least.losses.policy!.forward!, "policy").map(Math.abs))).toBeLessThan(1e-14);
    const other = at([0.5, -2]);
    const rise = other.value(other.losses.policy!.forward!) - least.value(least.losses.policy!.forward!);
    expect(rise).toBeCloseTo((sigma ** 2 * (0.5 ** 2 + 2 ** 2)) / 2, 12);
  });

  test("the weight is σ_i or 1", () => {
    const loss = (weighting: "sigma" | "one") => {
      const parts = withObjective(planeParts, residualNablaDb({ beta, weighting }));
      return parts.chain.steps.map(({ i }) => {
        const { value, losses } = trace(parts, [drawnTransitions(parts)[i]!], movedParams(parts));
        return value(losses.policy!.forward!);
      });
    };
    const plain = loss("one");
    const expected = planeParts.chain.steps.map(({ sigma }, i) => sigma ** 2 * plain[i]!);
    expect(relativeError(loss("sigma"), expected)).toBeLessThan(exact);
  });

  test("the reverse loss has a weight of its own: √σ_i where nothing is said, in each form", () => {
    const loss = (options: Parameters<typeof residualNablaDb>[0]) => {
      const parts = withObjective(planeParts, residualNablaDb({ beta, terminalWeight: 0, ...options }));
      return parts.chain.steps.map(({ i }) => {
        const { value, losses } = trace(parts, [drawnTransitions(parts)[i]!], movedParams(parts));
        return value(losses.flow!.reverse!);
      });
    };
    for (const reverse of forms) {
      const plain = loss({ reverse, reverseWeighting: "one" });
      const times = (power: number) => planeParts.chain.steps.map(({ sigma }, i) => sigma ** power * plain[i]!);
      for (const [options, power] of [
        [{ reverseWeighting: "sigma" }, 2],
        [{ reverseWeighting: "root-sigma" }, 1],
        [{}, 1],
        [{ weighting: "one" }, 1],
      ] as const) {
        expect(relativeError(loss({ reverse, ...options }), times(power)), JSON.stringify(options)).toBeLessThan(exact);
      }
    }
  });

  test("the proximal part is its weight times the mean of ‖out_θ − out_old‖²", () => {
    const parts = withObjective(planeParts, residualNablaDb({ beta, proximal: 4 }));
    const transitions = drawnTransitions(parts);
    const oldOutput = transitions.flatMap(({ xNext }) => xNext);
    const { value, losses, values, batch } = trace(parts, transitions, { ...movedParams(parts), more: { oldOutput } });
    const [out] = values([batch.state.policy.out]);
    const mean = out!.reduce((sum, o, j) => sum + (o - oldOutput[j]!) ** 2, 0) / out!.length;
    expect(value(losses.policy!.proximal!)).toBeCloseTo(4 * mean, 12);
  });

  test("reverseWeight 0 drops the flow network: h is the predicted-reward gradient alone", () => {
    const objective = residualNablaDb({ beta, reverseWeight: 0 });
    expect(objective.needs).not.toContain("flow");
    const parts = withObjective(planeParts, objective);
    const { losses, trained } = trace(parts, drawnTransitions(parts), movedParams(parts));
    expect(losses.flow).toBeUndefined();
    expect(trained.flow.some((p) => dependsOn(Object.values(losses.policy!), p))).toBe(false);
  });
});

describe("prior strength η", () => {
  const eta = 0.5;

  test("the forward target solves the balance of scores at x' = μ_θ, with the noising kernel's term", () => {
    // e→ = (μ_θ−x')/σ² − η(μ_#−x')/σ² − (1−η) a(x−a x')/s² − h = 0 for x' = μ_θ = μ_# + σ²Δ
    const parts = tabular(withObjective(worldParts, residualNablaDb({ beta, priorStrength: eta })));
    for (const transition of drawnTransitions(parts)) {
      const { sigma, d2, a, s } = parts.chain.steps[transition.i]!;
      const start = trace(parts, [transition]);
      const [h, reference] = start.values([gradLogFlow({}, start.batch.next), start.batch.state.reference.mean]);
      const delta = [0, 1].map((d) => {
        const free = (1 - eta) * a * (transition.x[d]! - a * reference![d]!);
        return (h![d]! + free / s ** 2) / (eta + (1 - eta) * ((a * sigma) / s) ** 2);
      });
      for (const d of [0, 1]) {
        const mean = reference![d]! + sigma ** 2 * delta[d]!;
        const balance =
          (-eta * (reference![d]! - mean)) / sigma ** 2 -
          ((1 - eta) * a * (transition.x[d]! - a * mean)) / s ** 2 -
          h![d]!;
        expect(balance).toBeCloseTo(0, 10);
      }
      const rows = parts.chain.steps.map(({ i }) =>
        i === transition.i ? delta.map((value) => (sigma ** 2 * value) / d2) : [0, 0],
      );
      const solved = trace(parts, [transition], { policy: tableOf(rows) });
      expect(solved.value(solved.losses.policy!.forward!)).toBeLessThan(1e-20);
      // official code: no noising term, Δ = h/η
      const bare = rows.map((row) => row.map((_, d) => (row[d] === 0 ? 0 : (sigma ** 2 * h![d]!) / eta / d2)));
      const wrong = trace(parts, [transition], { policy: tableOf(bare) });
      expect(wrong.value(wrong.losses.policy!.forward!)).toBeGreaterThan(1e-6);
    }
  });

  test.each(["td", "mean"] as const)("%s: h_i is chased to η J_#ᵀΔ − (1−η)(x − a(μ_# + σ²Δ))/s²", (reverse) => {
    const options = { beta, reverse, priorStrength: eta, reverseWeighting: "sigma" } as const;
    const parts = withObjective(planeParts, residualNablaDb(options));
    const { batch, losses, value } = trace(parts, drawnTransitions(parts), movedParams(parts));
    const { state, sigma, noising } = batch;
    const { scale: a, std: s } = noising;
    const variance = sigma.square();
    const hNext = gradLogFlow({}, batch.next);
    const free = state.x
      .sub(state.reference.mean.mul(a))
      .mul(a)
      .mul(1 - eta);
    const solution = hNext.add(free.div(s.square())).div(
      a
        .square()
        .mul(variance)
        .div(s.square())
        .mul(1 - eta)
        .add(eta),
    );
    const delta = reverse === "td" ? solution : state.policy.mean.sub(state.reference.mean).div(variance);
    const backed = vjp([state.reference.mean], [delta], [state.x])[0]!.mul(eta);
    const noise = state.x
      .sub(state.reference.mean.add(delta.mul(variance)).mul(a))
      .div(s.square())
      .mul(1 - eta);
    const residual = gradLogFlow({}, state).sub(backed).add(noise);
    expect(relativeError([value(losses.flow!.reverse!)], [value(residual.mul(sigma).square().mean())])).toBeLessThan(
      exact,
    );
  });
});

describe("options", () => {
  const matrix = forms.flatMap((reverse) =>
    networks.flatMap((cleanPrediction) =>
      (["sigma", "one"] as const).flatMap((weighting) =>
        attenuations.flatMap((attenuation) =>
          [1, 0.5].map((priorStrength) => ({ reverse, cleanPrediction, weighting, attenuation, priorStrength })),
        ),
      ),
    ),
  );

  test("every combination has finite losses and gradients, and no loss below 0", () => {
    const small = tabular(worldParts);
    for (const options of matrix) {
      const parts = withObjective(small, residualNablaDb({ beta, ...options }));
      const { losses, trained, values } = trace(parts, drawnTransitions(parts), movedParams(parts));
      const scalars = [...Object.values(losses.policy!), ...Object.values(losses.flow!)];
      const gradients = [
        ...gradient(total(losses.policy!), trained.policy),
        ...gradient(total(losses.flow!), trained.flow),
      ];
      const found = values([...scalars, ...gradients]);
      expect(
        found.slice(0, scalars.length).every(([loss]) => loss! >= 0),
        JSON.stringify(options),
      ).toBe(true);
      expect(
        found.every((value) => value.every(Number.isFinite)),
        JSON.stringify(options),
      ).toBe(true);
    }
    expect(matrix).toHaveLength(96);
  });

  test("λ-returns replace both targets: forward A_{i+1}, reverse R_i", () => {
    const parts = withObjective(planeParts, residualNablaDb({ beta, lambda: 0.8, reverseWeighting: "sigma" }));
    const transitions = drawnTransitions(parts);
    const next = transitions.flatMap(({ x }) => x.map((v) => 2 * v));
    const pulledBack = transitions.flatMap(({ xNext }) => xNext);
    const more = { "returns.next": next, "returns.pulledBack": pulledBack };
    const { batch, losses, value, values } = trace(parts, transitions, { ...movedParams(parts), more });
    const [delta, h, sigma] = values([batch.delta, gradLogFlow({}, batch.state), batch.sigma]);
    const mean = (residual: (j: number) => number) =>
      next.reduce((sum, _, j) => sum + (sigma![Math.floor(j / 2)]! * residual(j)) ** 2, 0) / next.length;
    expect(value(losses.policy!.forward!)).toBeCloseTo(
      mean((j) => delta![j]! - next[j]!),
      11,
    );
    expect(value(losses.flow!.reverse!)).toBeCloseTo(
      mean((j) => h![j]! - pulledBack[j]!),
      11,
    );
  });

  test("λ is refused where it would not be what methods describe: another reverse form, or η ≠ 1", () => {
    expect(() => residualNablaDb({ reverse: "mean", lambda: 0.5 })).toThrow(/lambda/);
    expect(() => residualNablaDb({ priorStrength: 0.5, lambda: 0.5 })).toThrow(/lambda/);
    expect(() => residualNablaDb({ lambda: 1, reverseWeight: 0 })).not.toThrow(); // adjoint matching
  });

  test("k steps replace both targets too, and are refused for the same reasons, and with λ", () => {
    const { returns } = residualNablaDb({ steps: 4 });
    expect(returns).toMatchObject({ steps: 4 });
    expect(residualNablaDb({ steps: 1 }).returns).toBeUndefined();
    expect(() => residualNablaDb({ steps: 2, lambda: 0.5 })).toThrow(/two ways/);
    expect(() => residualNablaDb({ steps: 2, reverse: "sampled" })).toThrow(/steps/);
    expect(() => residualNablaDb({ steps: 2, priorStrength: 0.5 })).toThrow(/priorStrength 1/);
    expect(() => residualNablaDb({ steps: 2, gradients: "full" })).toThrow(/one-step targets/);
    expect(() => residualNablaDb({ steps: 0 })).toThrow(/steps/);
  });

  test("a chain with memory is taken only where it is asked for", () => {
    expect(residualNablaDb().needs).toContain("memoryless-chain");
    expect(residualNablaDb({ chain: "any" }).needs).not.toContain("memoryless-chain");
    // decision 021: γ = 1 where the chain remembers, unless something else is said
    expect(residualNablaDb().options).toMatchObject({ attenuation: "squared" });
    expect(residualNablaDb({ chain: "any" }).options).toMatchObject({ attenuation: "none" });
    expect(residualNablaDb({ chain: "any", attenuation: "linear" }).options).toMatchObject({ attenuation: "linear" });
  });
});
