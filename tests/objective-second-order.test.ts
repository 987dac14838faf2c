import { expect, test } from "vitest";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { residualNablaDb } from "../src/objectives/residual-nabla-db.ts";
import { dependsOn } from "../src/tensor/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";
import { differences, meanSquare, plainNetworks, pulledBack, type Row } from "./worlds/plain-networks.ts";
import { tiny } from "./worlds/tiny.ts";
import { drawnTransitions, movedParams, total, trace } from "./worlds/transitions.ts";
import { partsOf, plane, withObjective } from "./worlds/worlds.ts";

const parts = tiny(await partsOf(plane));
const { chain } = parts;
const beta = 1.5;
const params = movedParams(parts);
const rows = drawnTransitions(parts);
const traced = (gradients: "semi" | "forward" | "full", reverse: "td" | "mean" | "sampled" = "sampled") =>
  trace(withObjective(parts, residualNablaDb({ beta, reverse, gradients, reverseWeighting: "sigma" })), rows, params);

const plain = plainNetworks(parts);
const frozen = plain.mean(plain.out());
const gradReward = (x: Row) => [-(x[0]! - 0.5) / 0.64, -(x[1]! + 0.5) / 0.64];
const add = (...terms: Row[]): number[] => terms[0]!.map((_, d) => terms.reduce((sum, term) => sum + term[d]!, 0));

/** γβ ∇_x r(x̂_#) of every row, which depends on no parameter that is trained. */
const pulls = rows.map(({ i, x, xNext }) =>
  (
    [
      [x, i],
      [xNext, i + 1],
    ] as const
  ).map(([at, level]) => {
    if (level === chain.T) return gradReward(at).map((g) => beta * g);
    const clean = plain.x0Hat(plain.out());
    const { alphaBar } = chain.levels[level]!;
    return pulledBack(
      clean,
      at,
      level,
      gradReward(clean(at, level)).map((g) => alphaBar * beta * g),
    );
  }),
);
const flowAt = (flow: NamedArrays, x: Row, i: number) => (i === chain.T ? [0, 0] : plain.flow(flow)(x, i));

/** Both losses of the paper as one function of both networks. */
function joint(policy: NamedArrays, flow: NamedArrays): number {
  const mean = plain.mean(plain.out(policy));
  const residuals = rows.map(({ i, x, xNext }, b) => {
    const { sigma } = chain.steps[i]!;
    const [mu, base] = [mean(x, i), frozen(x, i)];
    const delta = mu.map((v, d) => (v - base[d]!) / sigma ** 2);
    const forward = add(
      delta,
      pulls[b]![1]!.map((v) => -v),
      flowAt(flow, xNext, i + 1).map((v) => -v),
    );
    const scaled = (m: Row) => xNext.map((v, d) => (v - m[d]!) / sigma ** 2);
    const back = pulledBack(frozen, x, i, scaled(base)).map((v) => -v);
    const reverse = add(pulledBack(mean, x, i, scaled(mu)), back, pulls[b]![0]!, flowAt(flow, x, i));
    return [forward, reverse].map((r) => r.map((v) => sigma * v));
  });
  return meanSquare(residuals.map(([f]) => f!)) + meanSquare(residuals.map(([, r]) => r!));
}

const largest = (values: readonly number[]) => Math.max(...values.map(Math.abs));

test("full: the joint loss differentiated through everything by both networks, as differences of the plain formula say", () => {
  const { losses, slope, value } = traced("full");
  const { terminal, ...others } = losses.flow!;
  expect(Object.keys(losses.policy!).sort()).toEqual(["forward", "reverse"]);
  expect(Object.keys(others).sort()).toEqual(["forward", "reverse"]);
  expect(relativeError([value(total(losses.policy!))], [joint(params.policy, params.flow)])).toBeLessThan(1e-6);
  const byTheta = differences((policy) => joint(policy, params.flow), params.policy);
  const byPhi = differences((flow) => joint(params.policy, flow), params.flow);
  expect(relativeError(slope(total(losses.policy!), "policy"), byTheta)).toBeLessThan(tolerances.secondOrder);
  expect(relativeError(slope(total(others), "flow"), byPhi)).toBeLessThan(tolerances.secondOrder);
  expect(terminal).toBeDefined();
  const semi = traced("semi");
  expect(largest(semi.slope(total(semi.losses.policy!), "policy").map((v, j) => v - byTheta[j]!))).toBeGreaterThan(
    1e-2,
  );
});

test.each(["td", "mean", "sampled"] as const)(
  "forward, %s: the policy is trained as ever, the flow by the forward loss too",
  (reverse) => {
    const [semi, both] = [traced("semi", reverse), traced("forward", reverse)];
    const policySlopes = [semi, both].map(({ slope, losses }) => slope(total(losses.policy!), "policy"));
    expect(relativeError(policySlopes[1]!, policySlopes[0]!)).toBeLessThan(1e-12);
    const reverses = [semi, both].map(({ slope, losses }) => slope(losses.flow!.reverse!, "flow"));
    expect(relativeError(reverses[1]!, reverses[0]!)).toBeLessThan(1e-12);
    expect(largest(both.slope(both.losses.flow!.forward!, "flow"))).toBeGreaterThan(1e-2);
    expect(both.trained.policy.some((p) => dependsOn([both.losses.flow!.reverse!], p))).toBe(false);
    expect(semi.losses.flow!.forward).toBeUndefined();
  },
);

test("values of the losses are those of the semi-gradient form", () => {
  for (const reverse of ["td", "mean", "sampled"] as const) {
    const [semi, full] = [traced("semi", reverse), traced("full", reverse)];
    const of = ({ losses, value }: typeof semi) => [value(losses.policy!.forward!), value(losses.flow!.reverse!)];
    expect(relativeError(of(full), of(semi))).toBeLessThan(1e-12);
  }
});

test("refused where there is nothing to differentiate: without a flow network, or with λ-returns, which are numbers", () => {
  expect(() => residualNablaDb({ gradients: "full", reverseWeight: 0 })).toThrow(/gradients/);
  expect(() => residualNablaDb({ gradients: "forward", lambda: 0.5 })).toThrow(/gradients/);
  expect(() => residualNablaDb({ gradients: "full" })).not.toThrow();
});
