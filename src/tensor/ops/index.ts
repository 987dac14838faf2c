import "./source.ts";
import "./unary.ts";
import "./reduce.ts";
import "./matmul.ts";
import "./softmax.ts";

export { sumTo } from "./binary.ts";
export { type ConvOptions, conv2d } from "./conv.ts";
export { gather } from "./gather.ts";
export { concat } from "./layout.ts";
export { groupNorm, standardize } from "./norm.ts";
export { avgPool2x, sumPool2x, upsample2x } from "./resample.ts";
