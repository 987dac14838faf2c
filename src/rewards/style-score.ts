import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { assetPath } from "../core/package-root.ts";
import { convnet } from "../models/convnet.ts";
import { loadConvnet } from "../models/convnet-folder.ts";
import { asConstants } from "../nn/index.ts";
import { concat, type Tensor } from "../tensor/index.ts";
import { defineReward } from "./reward.ts";

/**
 * How much a picture is drawn in one style, whatever it shows: the log-odds log p(styles) − log p(other styles) of a
 * style classifier of 32×32 pictures. The one that is shipped was trained with smoothed labels, so that it is about 3
 * in size on clear cases and keeps a gradient.
 */
export const styleScore = defineReward({
  kind: "style-score",
  summary: "log-odds that a picture is drawn in one icon style; looks at no prompt",
  options: z.strictObject({
    styles: z.array(z.string()).min(1).default(["fluent-emoji"]).describe("the style wanted; several count as one"),
    path: z.string().optional().describe("folder of a classifier with a head `style`; default: the bundled one"),
  }),
  async load({ path = assetPath("models/style-score"), styles }) {
    const network = await loadConvnet(path);
    const known = network.config.heads.style;
    if (!known) throw new ConfigError(`style-score: the classifier in ${path} has no head "style".`);
    for (const style of styles) {
      if (known.includes(style)) continue;
      const guess = nearest(style, known);
      throw new ConfigError(
        `style-score: unknown style "${style}"${guess ? `; did you mean "${guess}"?` : "."} Known: ${known.join(", ")}.`,
      );
    }
    const wanted = known.map((style) => styles.includes(style));
    if (!wanted.includes(false)) {
      throw new ConfigError(
        `style-score: some style must remain to compare with, but styles names all: ${known.join(", ")}.`,
      );
    }
    return { ...network, wanted };
  },
  score({ images }, _, { config, weights, wanted }) {
    const logits = convnet(asConstants(weights), config, images).logits.style!;
    const columns = (which: boolean) =>
      concat(
        wanted.flatMap((w, k): Tensor[] => (w === which ? [logits.slice(1, k, k + 1)] : [])),
        1,
      );
    return columns(true).logSumExp().sub(columns(false).logSumExp());
  },
});
