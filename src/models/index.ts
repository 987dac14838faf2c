export type { Adaptation, Condition, FinetuneOptions, Model, Network, Time } from "./model.ts";
