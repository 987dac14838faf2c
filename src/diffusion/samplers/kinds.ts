// Written by npm run gen from the files of this folder.
import type { SamplerKind } from "../sampler.ts";
import { ddim } from "./ddim.ts";
import { ddpm } from "./ddpm.ts";
import { flow } from "./flow.ts";
import { sdeDpmSolver } from "./sde-dpm-solver++.ts";

export const samplerKinds: readonly SamplerKind[] = [ddim, ddpm, flow, sdeDpmSolver];
