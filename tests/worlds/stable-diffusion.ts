import { readFileSync } from "node:fs";
import type { UNetConfigInput } from "../../src/models/unet.ts";

/** unet/config.json of Stable Diffusion 1.5, as far as it says something. */
export const stableDiffusion15: UNetConfigInput = JSON.parse(
  readFileSync(new URL("stable-diffusion.json", import.meta.url), "utf8"),
);
