export * from "./errors.ts";
export * from "./named-arrays.ts";
export * from "./rng.ts";
