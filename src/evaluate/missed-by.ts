import { aims } from "../objectives/index.ts";
import type { MethodResult, WorldReferences } from "./validation-result.ts";

/** Modes narrower than this share of their exact width have collapsed. */
const collapsedWidth = 0.5;

/** Where a method ended that did not reach the target, in words; undefined when no run reached its end. */
export function missedBy(
  { aim, measures, importanceEss, rewardAlone }: MethodResult,
  { pretrained, target, tilted }: WorldReferences,
): string | undefined {
  if (!measures) return undefined;
  const { meanReward, withinStdRatio } = measures;
  if (rewardAlone) {
    const numbers = [meanReward.mean, rewardAlone.meanReward, rewardAlone.energyDistance.mean];
    const [reached, wanted, distance] = numbers.map((value) => value.toPrecision(3));
    return `aims at ${aims[aim]}: mean reward ${reached} where that has ${wanted}, energy distance to it ${distance}.`;
  }
  // what this chain can reach, which on coarse grids is far from the target
  const [end, whose] = tilted.collapsed ? [target, "the target's"] : [tilted, "the tilted sampler's"];
  const way = (meanReward.mean - pretrained.meanReward) / (end.meanReward - pretrained.meanReward);
  const parts = [
    ...(aim === "tilted-prior" ? [] : [`aims at ${aims[aim]}`]),
    `${percent(way)} of the way from the pretrained mean reward to ${whose}`,
  ];
  if (withinStdRatio.mean < collapsedWidth) {
    parts.push(`modes collapsed to ${withinStdRatio.mean.toFixed(2)} of their width`);
  }
  if (importanceEss && importanceEss.mean >= 0.1) {
    parts.push(`weights would mend it (sample --resample) with ${percent(importanceEss.mean)} effective samples`);
  }
  return `${parts.join("; ")}.`;
}

/** A run that blew up is any number of times too far. */
const percent = (share: number): string =>
  Math.abs(share) < 100 ? `${(100 * share).toFixed(0)} %` : `${share.toExponential(0)} times`;
