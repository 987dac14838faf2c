export { referenceRuntime } from "./reference.ts";
export type { Program, Runtime, Values } from "./runtime.ts";
