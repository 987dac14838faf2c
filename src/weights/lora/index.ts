export * from "./base-folder.ts";
export * from "./combine.ts";
export { components, type Lora, type LoraModule, loraDelta, loraModule } from "./lora.ts";
export { type LoraContent, loraOf, readLora } from "./read-lora.ts";
export { type LoraFormat, loraFormats, type WriteLoraOptions, writeLora } from "./write-lora.ts";
