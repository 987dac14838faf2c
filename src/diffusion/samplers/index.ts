export { ddim } from "./ddim.ts";
export { ddpm } from "./ddpm.ts";
export { flow } from "./flow.ts";
export { sdeDpmSolver } from "./sde-dpm-solver++.ts";
