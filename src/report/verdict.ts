import { reachesTarget } from "../run/index.ts";
import { percent, significant } from "./format.ts";
import type { ExactMeasures, Measured, Summary } from "./read-summary.ts";

/** How a run ended, in one word for colour and label, and in one sentence. */
export interface Verdict {
  outcome: "good" | "costly" | "neutral" | "bad";
  label: string;
  sentence: string;
}

/** Of the pretrained diversity: less is a price to name, and a collapse. */
const KEPT = 0.9;
const COLLAPSED = 0.5;

/** Judges a run by its summary alone. */
export function verdict({ before, after, exact }: Summary = {}): Verdict {
  if (exact) return exactVerdict(exact);
  if (before?.values.reward === undefined || after?.values.reward === undefined) {
    return {
      outcome: "neutral",
      label: "Not finished",
      sentence:
        "This run has not been evaluated before and after training, so nothing can be said about its result yet.",
    };
  }
  if (!Number.isFinite(before.values.reward) || !Number.isFinite(after.values.reward)) {
    return { outcome: "bad", label: "Failed", sentence: "The reward came out as no finite number, so the run failed." };
  }
  const change = rewardChange(before, after);
  const diversity = diversityClause(before, after, change.direction);
  const lost = diversity.kept < KEPT;
  const collapsed = diversity.kept < COLLAPSED;
  const sentence = `${change.text}${diversity.text}${agreementClause(before, after)}.`;
  if (collapsed) return { outcome: "bad", label: "Collapsed", sentence };
  if (change.direction < 0) return { outcome: "bad", label: "Got worse", sentence };
  if (change.direction === 0) return { outcome: "neutral", label: "No change", sentence };
  return lost
    ? { outcome: "costly", label: "Improved at a cost", sentence }
    : { outcome: "good", label: "Improved", sentence };
}

/** The change of the mean reward: −1, 0 (within two standard errors of the difference) or 1, and its words. */
function rewardChange(before: Measured, after: Measured): { direction: -1 | 0 | 1; text: string } {
  const [from, to] = [before.values.reward!, after.values.reward!];
  const [stdBefore = 0, stdAfter = 0] = [before.values.rewardStd, after.values.rewardStd];
  const error = Math.sqrt(stdBefore ** 2 / (before.images ?? Infinity) + stdAfter ** 2 / (after.images ?? Infinity));
  if (Math.abs(to - from) <= 2 * error || to === from) {
    return {
      direction: 0,
      text: `Reward did not change measurably (${significant(from)} before, ${significant(to)} after)`,
    };
  }
  const verb = to > from ? "rose" : "fell";
  const amount =
    stdBefore > 0
      ? `by ${significant(Math.abs(to - from) / stdBefore, 2)} standard deviations of the pretrained model`
      : `from ${significant(from)} to ${significant(to)}`;
  return { direction: to > from ? 1 : -1, text: `Reward ${verb} ${amount}` };
}

function diversityClause(before: Measured, after: Measured, direction: -1 | 0 | 1): { kept: number; text: string } {
  const kept = after.values.diversity! / before.values.diversity!;
  if (!Number.isFinite(kept)) return { kept: 1, text: "; diversity was not measured" };
  const but = direction > 0 ? "but" : "and";
  if (kept < COLLAPSED)
    return { kept, text: `, ${but} the samples collapsed: only ${percent(kept)} of the diversity is left` };
  if (kept < KEPT) return { kept, text: `, ${but} diversity fell to ${percent(kept)} of the pretrained model’s` };
  if (kept > 1.05) return { kept, text: `; diversity grew to ${percent(kept)} of the pretrained model’s` };
  return { kept, text: `; ${percent(kept)} of the diversity was kept` };
}

/** Says so when samples show what was asked clearly less often: by a tenth or more. */
function agreementClause(before: Measured, after: Measured): string {
  const [from = 0, to = 0] = [before.values.promptAgreement, after.values.promptAgreement];
  return to < 0.9 * from ? `, and prompt agreement fell from ${significant(from)} to ${significant(to)}` : "";
}

/**
 * Exact worlds: the share of the way from the pretrained sampler to the exactly tilted one, in energy distance to the
 * exact target. The tilted sampler is a reference, not a bound.
 */
function exactVerdict({ finetuned, floor, pretrained }: ExactMeasures): Verdict {
  const [from, to, reference] = [pretrained.energyDistance, finetuned.energyDistance, floor.energyDistance];
  if (to === undefined || !Number.isFinite(to)) {
    return {
      outcome: "bad",
      label: "Failed",
      sentence: "The energy distance to the exact target is no finite number.",
    };
  }
  if (from === undefined || reference === undefined || !(from > reference)) {
    return {
      outcome: "neutral",
      label: "Measured",
      sentence: `The energy distance of the samples to the exact target is ${significant(to)}.`,
    };
  }
  const way = (from - to) / (from - reference);
  const numbers = `energy distance to the target ${significant(from)} before, ${significant(to)} after, ${significant(reference)} when tilted exactly`;
  if (reachesTarget(to, reference)) {
    return {
      outcome: "good",
      label: "Reached the target",
      sentence: `The samples are as close to the exact target as exact tilting gets, or nearly: ${numbers}.`,
    };
  }
  if (way < 0.1) {
    const moved = way < -0.1;
    return {
      outcome: moved ? "bad" : "neutral",
      label: moved ? "Got worse" : "No change",
      sentence: `The samples ${moved ? "moved away from" : "came no closer to"} the exact target: ${numbers}.`,
    };
  }
  return {
    outcome: way >= KEPT ? "good" : "costly",
    label: way >= KEPT ? "Near the target" : "Part of the way",
    sentence: `The samples came ${percent(way)} of the way from the pretrained model to exact tilting: ${numbers}.`,
  };
}
