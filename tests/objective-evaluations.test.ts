import { describe, expect, test } from "vitest";
import {
  adjointMatching,
  draft,
  klControl,
  type Objective,
  objectiveKinds,
  residualNablaDb,
} from "../src/objectives/index.ts";
import { stepReturnEvaluations } from "../src/objectives/step-return-evaluations.ts";
import { evaluationsPerUpdate } from "../src/train/evaluations.ts";

/** Per trajectory and update, with six transitions where the objective draws them from strata. */
const cost = (objective: Objective, T: number, updatesPerRollout = 1) =>
  evaluationsPerUpdate(objective, T, { trajectories: 1, strata: 5, updatesPerRollout });

describe("six transitions, T = 20 and 50: the counts of docs/methods.md E.8", () => {
  test.each<[string, Objective, number, number]>([
    ["form (n)", residualNablaDb(), 54, 84],
    ["k = 4", residualNablaDb({ steps: 4 }), 85, 122],
    ["λ = 1", residualNablaDb({ lambda: 1 }), 72, 162],
    ["λ = 0.8", residualNablaDb({ lambda: 0.8 }), 91, 211],
    ["adjoint matching", adjointMatching(), 72, 162],
  ])("%s", (_, objective, at20, at50) => {
    expect([20, 50].map((T) => Math.round(cost(objective, T)))).toEqual([at20, at50]);
  });
});

test("T = 50: the other counts of docs/methods.md C.13, less what x_T saves", () => {
  const cases: [Objective, number][] = [
    [residualNablaDb({ reverse: "sampled", cleanPrediction: "policy" }), 50 + 6 * 3 + 30 - 2],
    [draft(), 52],
    [draft({ lastSteps: "all" }), 50 + 150],
    [klControl(), 50 + 300],
    ...objectiveKinds.filter(({ kind }) => kind === "ddpo").map((ddpo): [Objective, number] => [ddpo(), 150]),
  ];
  for (const [objective, expected] of cases) expect(cost(objective, 50), objective.kind).toBe(expected);
});

test.each(objectiveKinds.map((make) => [make.kind, make] as const))(
  "%s: an update draws trajectories and trains, and costs less on a rollout that is used before",
  (_, make) => {
    const objective = make();
    expect(cost(objective, 20)).toBeGreaterThanOrEqual(20 + 2);
    expect(cost(objective, 20) - cost(objective, 20, 2)).toBeGreaterThanOrEqual(10);
  },
);

test("without flow network or with x̂ of the policy, by hand", () => {
  // θ 2, # at x, # and its product at x'; no product at x
  expect(cost(residualNablaDb({ reverseWeight: 0 }), 20)).toBe(20 + 6 * 5 - 2);
  // θ and # have their own product at x
  expect(cost(residualNablaDb({ cleanPrediction: "policy" }), 20)).toBe(20 + 6 * 7 - 2);
});

describe("k-step returns: the mean over all draws, counted draw by draw", () => {
  test.each([
    [6, 3, 1],
    [6, 3, 2],
    [6, 3, 4],
    [6, 3, 9],
    [12, 4, 3],
  ])("T = %i, %i transitions, k = %i", (T, n, k) => {
    const width = T / (n - 1);
    const counts: number[] = [];
    const count = (drawn: number[]) => {
      if (drawn.length < n - 1) {
        for (let j = 0; j < width; j++) count([...drawn, drawn.length * width + j]);
        return;
      }
      const forwards = new Set<number>();
      const values = new Set<number>();
      let products = 0;
      for (const i of [...drawn, T - 1]) {
        for (let j = i; j < Math.min(i + k, T); j++) {
          forwards.add(j);
          products++;
        }
        values.add(i);
        if (i + k < T) values.add(i + k);
      }
      counts.push(forwards.size + products + 2 * values.size);
    };
    count([]);
    expect(counts).toHaveLength(width ** (n - 1));
    const mean = counts.reduce((a, b) => a + b) / counts.length;
    expect(stepReturnEvaluations(T, n, k)).toBeCloseTo(mean, 10);
  });
});
