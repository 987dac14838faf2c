/** How a measure is called on the page and what it is. */
export interface MeasureText {
  name: string;
  /** Shown beside the name where a direction is better. */
  hint?: string;
  definition?: string;
  /** A share or a distance: its axis begins at 0, so that a small loss looks small. */
  fromZero?: true;
}

const KNOWN: Record<string, MeasureText> = {
  reward: {
    name: "Reward",
    hint: "higher is better",
    definition: "The mean of what the reward says about the evaluated samples: the quantity that training raises.",
  },
  rewardStd: {
    name: "Reward spread",
    definition: "The standard deviation of the reward over all evaluated samples.",
  },
  diversity: {
    name: "Diversity",
    hint: "higher is better",
    definition:
      "How different the samples of one prompt are: the mean of 1 − cos between the features of all pairs, averaged over prompts. 0 means all alike.",
    fromZero: true,
  },
  diversityThirdParty: {
    name: "Diversity, third-party feature (MobileNetV2)",
    hint: "higher is better",
    definition:
      "The same as diversity, with features of a network that others made for other pictures: a check that the result does not hang on the feature network of this project. Compare it before and after, not with the other diversity.",
    fromZero: true,
  },
  promptAgreement: {
    name: "Prompt agreement",
    hint: "higher is better",
    definition: "How well the pictures show what their prompts ask for, as a network for that purpose judges it.",
    fromZero: true,
  },
  priorDistance: {
    name: "Prior distance",
    hint: "lower is closer",
    definition:
      "How far the finetuned model has moved from the pretrained one: the unbiased kernel distance (MMD²) between their features per prompt, averaged over prompts. Its floor is the same distance between two sets of pretrained samples with different seeds; around it, estimates may be slightly negative.",
    fromZero: true,
  },
  meanReward: {
    name: "Mean reward",
    definition: "The mean reward of the samples. The goal is the target's own value: a higher one is not better.",
  },
  modeTV: {
    name: "Mode error",
    hint: "lower is better",
    definition:
      "The total variation between the shares of samples at each mode and the exact shares, from 0 to 1. 0 means that every mode has its right weight.",
    fromZero: true,
  },
  energyDistance: {
    name: "Energy distance",
    hint: "lower is better",
    definition:
      "A distance between the samples and the exact target that is 0 only when both laws are equal. Its estimate is unbiased, so close to 0 it may be slightly negative.",
  },
  withinStdRatio: {
    name: "Mode width",
    hint: "1 is best",
    definition: "The standard deviation of samples within a mode, divided by that of the exact target.",
  },
  elbo: {
    name: "Evidence bound",
    hint: "higher is better",
    definition:
      "The mean of β r − log(policy / pretrained) over trajectories: at most the log of the exact constant Z.",
  },
  importanceEss: {
    name: "Effective share",
    hint: "higher is better",
    definition: "The share of samples that remain effective when they are reweighted to exact tilting, from 0 to 1.",
    fromZero: true,
  },
  pathKl: {
    name: "Path divergence",
    hint: "lower is closer",
    definition:
      "How far the steps of the finetuned chain have moved from those of the pretrained one: the KL divergence of whole paths, in nats. The evidence bound is β times the mean reward minus it.",
    fromZero: true,
  },
};

/** Name and definition of a measure; one that this page does not know is called by its key, in words. */
export function measureText(key: string): MeasureText {
  if (Object.hasOwn(KNOWN, key)) return KNOWN[key]!;
  const words = key.replace(
    /([a-z0-9])([A-Z])/g,
    (_, before: string, after: string) => `${before} ${after.toLowerCase()}`,
  );
  return { name: words.charAt(0).toUpperCase() + words.slice(1) };
}
