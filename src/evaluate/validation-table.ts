import { leastEss } from "../core/importance.ts";
import { type ExactReference, reachedWithin } from "../run/index.ts";
import { missedBy } from "./missed-by.ts";
import {
  exactMeasures,
  type MethodResult,
  type RefusedMethod,
  type Spread,
  type WorldReferences,
  type WorldResult,
} from "./validation-result.ts";

const headings: Record<(typeof exactMeasures)[number], string> = {
  meanReward: "mean reward",
  modeTV: "mode TV",
  energyDistance: "energy distance",
  withinStdRatio: "within-mode std / exact",
};

/** Headings, and the rules below them that align a column; a row may leave out its last cells. */
const columns = [
  { heading: "", rule: "---" },
  ...exactMeasures.map((measure) => ({ heading: headings[measure], rule: "---:" })),
  { heading: "95 % of the energy distance", rule: "---" },
  { heading: "reached", rule: "---" },
  { heading: "ELBO", rule: "---:" },
  { heading: "importance ESS", rule: "---:" },
  { heading: "thousand evaluations (updates)", rule: "---:" },
];

/** The results of a validation as a Markdown document. */
export const validationDocument = (results: readonly WorldResult[]): string =>
  `# Validation on exact worlds\n\nReached: an energy distance of at most ${reachedWithin} above the tilted sampler's, or above 0 where that has collapsed; ±: that bound lies within the 95 %. Importance ESS: the share of effective samples when a method's own are weighted to the tilted sampler.\n\n${results.map(worldSection).join("\n")}`;

/** Heading, table and notes of one world, in Markdown. */
export function worldSection(result: WorldResult): string {
  const { world, updates, evaluations, beta, priorStrength, seeds, references, methods } = result;
  const several = seeds.length > 1 ? "; mean ± standard deviation over seeds" : "";
  const rows = [columns.map(({ heading }) => heading), columns.map(({ rule }) => rule)];
  if (references) {
    const { pretrained, target, tilted } = references;
    const by = tilted.method === "twisted-smc" ? " by twisted SMC" : "";
    const label = `tilted sampler${by}, effective sample size ${tilted.ess.toFixed(0)}`;
    rows.push(
      ["pretrained", ...reference(pretrained)],
      ["exact target", ...reference(target)],
      tilted.collapsed ? across(label, "collapsed") : [label, ...reference(tilted)],
    );
  }
  const lines = [
    `## ${world}`,
    "",
    `${evaluations === undefined ? `${updates} updates` : `${evaluations} evaluations for each run`}, beta ${beta}, ${priorStrength === undefined ? "" : `prior strength ${priorStrength}, `}${seeds.length > 1 ? "seeds" : "seed"} ${seeds.join(", ")}${several}.`,
    "",
    ...[...rows, ...methods.map(methodRow)].map((cells) => `| ${columns.map((_, k) => cells[k] ?? "").join(" | ")} |`),
    "",
    ...methods.flatMap((result) => notes(result, references)),
  ];
  if (references?.tilted.collapsed) {
    lines.push(
      `- tilted sampler: fewer than ${leastEss} effective samples; its numbers would be those of a few points.`,
    );
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function methodRow(result: MethodResult | RefusedMethod): string[] {
  if ("refused" in result) return across(result.method, "does not fit");
  const { method, measures, interval, reached, withinError, elbo, importanceEss, finished, diverged } = result;
  if (!measures || !interval) return across(method, "diverged", cost(result));
  const some = diverged.length > 0 ? ` (${diverged.length} of ${finished.length + diverged.length} diverged)` : "";
  return [
    `${method}${some}`,
    ...exactMeasures.map((measure) => spread(measures[measure])),
    interval.map(number).join(" to "),
    `${reached ? "yes" : "no"}${withinError ? " ±" : ""}`,
    elbo ? spread(elbo) : "",
    importanceEss ? spread(importanceEss) : "",
    cost(result),
  ];
}

/** Why there are no numbers, or of some seeds only, and where a method ended that is not at the target. */
function notes(result: MethodResult | RefusedMethod, references: WorldReferences | undefined): string[] {
  if ("refused" in result) return [`- ${result.method} does not fit: ${oneLine(result.refused)}`];
  const missed = references && result.reached === false ? missedBy(result, references) : undefined;
  return [
    ...(missed ? [`- ${result.method}: ${missed}`] : []),
    ...result.diverged.map(({ seed, reason }) => `- ${result.method}, seed ${seed}, diverged: ${oneLine(reason)}`),
  ];
}

const reference = (measures: ExactReference): string[] => exactMeasures.map((measure) => number(measures[measure]));

/** Of the denoiser, of a run that comes to its end. */
const cost = ({ evaluations, updates }: MethodResult): string => `${Math.round(evaluations / 1000)} (${updates})`;

const spread = ({ mean, std }: Spread): string =>
  std === undefined ? number(mean) : `${number(mean)} ± ${number(std)}`;

/** Four decimals; a diverging run has numbers that would not fit a column. */
const number = (value: number): string => (Math.abs(value) < 1e5 ? value.toFixed(4) : value.toExponential(2));

/** A row without numbers: a word in place of the first, and perhaps a last cell. */
const across = (label: string, word: string, last = ""): string[] => [
  label,
  word,
  ...columns.slice(3).map(() => ""),
  last,
];

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
