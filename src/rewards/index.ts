export { linear } from "./linear.ts";
export { mixtureLogDensity } from "./mixture-log-density.ts";
export { promptScore } from "./prompt-score.ts";
export { quadratic } from "./quadratic.ts";
export { styleScore } from "./style-score.ts";
