import { enoughEss, leastEss } from "../core/importance.ts";
import { type RunSummary, tiltedEss } from "../run/index.ts";
import { table } from "./table.ts";

type Row = [label: string, ...cells: (number | undefined)[]];

/** The numbers of a finished run as plain text. */
export function summaryTable({ before, after, exact, seconds }: RunSummary): string {
  const rows: Row[] = [
    ["reward", before.reward, after.reward],
    ["reward std", before.rewardStd, after.rewardStd],
    ...Object.entries(before.rewardParts ?? {}).map(([part, mean]): Row => [part, mean, after.rewardParts?.[part]]),
    ["diversity", before.diversity, after.diversity],
  ];
  if (before.diversityThirdParty !== undefined)
    rows.push(["diversity, third-party feature (MobileNetV2)", before.diversityThirdParty, after.diversityThirdParty]);
  if (before.promptAgreement !== undefined)
    rows.push(["prompt agreement", before.promptAgreement, after.promptAgreement]);
  if (after.elbo !== undefined) {
    rows.push(
      ["ELBO", before.elbo, after.elbo],
      ["importance ESS, share", before.importanceEss, after.importanceEss],
      ["path KL", before.pathKl, after.pathKl],
    );
  }
  rows.push(["distance to prior", after.priorDistanceFloor, after.priorDistance]);
  const text = [
    numbers(["", "before", "after"], rows),
    `(${before.images} samples each, the same noise; "before" of the distance is the pretrained model against itself)`,
  ];
  if (exact) {
    const { pretrained, target, floor } = exact;
    const ess = tiltedEss(exact);
    const collapsed = !enoughEss(ess);
    const four = (label: string, pick: (m: typeof target) => number): Row => [
      label,
      ...[pretrained, exact, target].map(pick),
      collapsed ? undefined : pick(floor),
    ];
    const measures: Row[] = [
      four("mean reward", (m) => m.meanReward),
      four("mode TV", (m) => m.modeTV),
      four("energy distance", (m) => m.energyDistance),
      four("within-mode std / exact", (m) => m.withinStdRatio),
    ];
    const paths =
      exact.elbo === undefined
        ? ""
        : `ELBO ${exact.elbo.toFixed(3)}, importance ESS ${exact.importanceEss!.toFixed(2)} of 1; `;
    text.push(
      "",
      numbers(["against the exact target", "pretrained", "finetuned", "exact target", "tilted sampler"], measures),
      `${paths}tilted sampler${floor.method === "twisted-smc" ? " by twisted SMC" : ""}: effective sample size ${ess.toFixed(0)}${collapsed ? `, collapsed: below ${leastEss} there are no numbers` : ""}`,
    );
  }
  text.push("", `${seconds.toFixed(0)} s`);
  return `${text.join("\n")}\n`;
}

const numbers = (head: readonly string[], rows: readonly Row[]): string =>
  table([head, ...rows.map(([label, ...values]) => [label, ...values.map((v) => v?.toFixed(4) ?? "–")])]);
