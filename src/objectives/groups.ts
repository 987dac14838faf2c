import { z } from "zod";

/** Options of objectives that draw trajectories in groups of one prompt. Defaults are the objective's. */
export const groupOptions = {
  groupSize: z
    .int()
    .min(2, "a group of one has nothing to be compared with; give 2 or more")
    .describe("trajectories of one prompt that are drawn together; divides train.trajectories"),
  sharedNoise: z.boolean().describe("one initial state x_0 for the whole group"),
  advantageStd: z
    .enum(["batch", "group"])
    .describe("A = (r − mean of the group)/(std + 1e-4): std of all rewards of the rollout, or of the group"),
};
