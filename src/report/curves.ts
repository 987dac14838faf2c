import type { Figure } from "./curve-figure.ts";
import type { Point, Series } from "./line-chart.ts";
import { measureText } from "./measures.ts";
import type { EvaluationEvent, Events, StepEvent } from "./read-events.ts";

/** The curves of a run in the order they are shown. A curve needs two finite values; figures without curves are left out. */
export function curves({ steps, evaluations }: Events, priorDistanceFloor?: number): Figure[] {
  const measures = new Set(evaluations.flatMap((evaluation) => Object.keys(evaluation.measures)));
  const evaluated = [...measures]
    .filter((key) => key !== "reward" && !belongsToOther(key, measures))
    .map((key) => measureFigure(key, evaluations, priorDistanceFloor));
  const figures: Figure[] = [
    rewardFigure(steps, evaluations),
    byName("losses", "Losses", "loss", steps, ({ losses }) => losses),
    ...evaluated,
    tradeOff(evaluations),
    byName("gradients", "Gradient norms", "norm before clipping", steps, ({ gradientNorm }) => gradientNorm),
  ];
  return figures
    .map((figure) => ({ ...figure, series: figure.series.filter(isDrawable) }))
    .filter(({ series }) => series.length > 0);
}

const isDrawable = ({ points }: Series): boolean => points.filter(({ y }) => Number.isFinite(y)).length >= 2;

/** `rewardStd` is the band of `reward`, `priorDistanceFloor` a line in its figure. */
const belongsToOther = (key: string, measures: ReadonlySet<string>): boolean =>
  ["Std", "Floor"].some((end) => key.endsWith(end) && measures.has(key.slice(0, -end.length)));

function rewardFigure(steps: readonly StepEvent[], evaluations: readonly EvaluationEvent[]): Figure {
  const rollouts = steps.flatMap(({ update, reward, rewardStd }) =>
    reward === undefined ? [] : [{ x: update, y: reward, ...around(reward, rewardStd) }],
  );
  const series = [
    { name: "training", points: rollouts },
    { name: "evaluation", points: measurePoints("reward", evaluations, false), markers: true },
  ];
  const note = "Mean reward; the band is one standard deviation of the samples to either side.";
  return { id: "curve-reward", title: "Reward", note, xLabel: "update", yLabel: "reward", series };
}

function measureFigure(key: string, evaluations: readonly EvaluationEvent[], summaryFloor?: number): Figure {
  const { name, hint, fromZero } = measureText(key);
  const floors = evaluations.flatMap(({ measures }) => measures[`${key}Floor`] ?? []);
  const floor = floors.at(-1) ?? (key === "priorDistance" ? summaryFloor : undefined);
  return {
    id: `curve-${key}`,
    title: name,
    ...(hint && { note: `In evaluations; ${hint}.` }),
    ...(fromZero && { fromZero }),
    xLabel: "update",
    yLabel: name.toLowerCase(),
    series: [{ name: name.toLowerCase(), points: measurePoints(key, evaluations, true), markers: true }],
    reference: floor !== undefined && Number.isFinite(floor) ? { label: "floor", value: floor } : undefined,
  };
}

/** Reward against diversity, one point per evaluation: what a gain in reward has cost. */
function tradeOff(evaluations: readonly EvaluationEvent[]): Figure {
  const both = evaluations.filter(
    ({ measures }) => Number.isFinite(measures.reward) && Number.isFinite(measures.diversity),
  );
  const points = both.map(({ update, measures }, at): Point => {
    const label = at === 0 || at === both.length - 1 ? { label: `update ${update}` } : {};
    return { x: measures.reward!, y: measures.diversity!, ...label };
  });
  return {
    id: "curve-trade-off",
    title: "Reward against diversity",
    note: "One point per evaluation. Further right and further up is better.",
    xLabel: "reward",
    yLabel: "diversity",
    fromZero: true,
    series: [{ name: "evaluations", points, markers: true }],
  };
}

/** One curve per name, as losses and gradient norms have them. */
function byName(
  id: string,
  title: string,
  yLabel: string,
  steps: readonly StepEvent[],
  valuesOf: (step: StepEvent) => Record<string, number>,
): Figure {
  const names = new Set(steps.flatMap((step) => Object.keys(valuesOf(step))));
  const series = [...names].map((name) => ({
    name,
    points: steps.flatMap((step) => {
      const y = valuesOf(step)[name];
      return y === undefined ? [] : [{ x: step.update, y }];
    }),
  }));
  return { id: `curve-${id}`, title, xLabel: "update", yLabel, series };
}

function measurePoints(key: string, evaluations: readonly EvaluationEvent[], withBand: boolean): Point[] {
  return evaluations.flatMap(({ update, measures }) => {
    const y = measures[key];
    if (y === undefined) return [];
    return [{ x: update, y, ...(withBand ? around(y, measures[`${key}Std`]) : {}) }];
  });
}

const around = (value: number, std?: number): { low?: number; high?: number } =>
  std === undefined ? {} : { low: value - std, high: value + std };
