import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { assetPath } from "../core/package-root.ts";
import { classInPrompt } from "../models/class-in-prompt.ts";
import { convnet } from "../models/convnet.ts";
import { loadConvnet } from "../models/convnet-folder.ts";
import { asConstants } from "../nn/index.ts";
import { defineReward } from "./reward.ts";

/**
 * Whether a picture shows what was asked: log p(animal | picture) of an animal classifier, for the animal that the
 * prompt names. At most 0. Trained with smoothed labels, it falls to about −6 on a clear picture of something else.
 */
export const promptScore = defineReward({
  kind: "prompt-score",
  summary: "log-probability that a picture shows the animal which its prompt names",
  options: z.strictObject({
    path: z.string().optional().describe("folder of a classifier with a head `animal`; default: the bundled one"),
  }),
  async load({ path = assetPath("models/prompt-score") }) {
    const network = await loadConvnet(path);
    const classes = network.config.heads.animal;
    if (!classes) throw new ConfigError(`prompt-score: the classifier in ${path} has no head "animal".`);
    return { ...network, classes };
  },
  promptFeatures: (_, { classes }) => ({
    size: classes.length,
    of(prompts) {
      const oneHot = new Float32Array(prompts.length * classes.length);
      prompts.forEach((prompt, b) => {
        oneHot[b * classes.length + classInPrompt(prompt, classes)] = 1;
      });
      return oneHot;
    },
  }),
  score({ images, prompts }, _, { config, weights }) {
    return convnet(asConstants(weights), config, images).logits.animal!.logSoftmax().mul(prompts).sum([1]);
  },
});
