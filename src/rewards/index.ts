export { linear } from "./linear.ts";
export { mixtureLogDensity } from "./mixture-log-density.ts";
export { quadratic } from "./quadratic.ts";
