export { diversity } from "./diversity.ts";
export { energyDistance } from "./energy-distance.ts";
export { importance } from "./importance.ts";
export { kernelDistance } from "./kernel-distance.ts";
export { modeTv } from "./mode-tv.ts";
export { withinStd } from "./within-std.ts";
