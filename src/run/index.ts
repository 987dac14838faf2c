export * from "./atomic.ts";
export * from "./checkpoint.ts";
export * from "./differing-keys.ts";
export * from "./events.ts";
export { isLocked } from "./lock.ts";
export * from "./run-directory.ts";
export * from "./summary.ts";
export * from "./tensorboard.ts";
