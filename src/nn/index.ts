export { additiveMask, attention } from "./attention.ts";
export { convSpecs, embeddingSpecs, linearSpecs, normSpecs } from "./init.ts";
export { conv, embedding, groupNorm, layerNorm, linear, parameter } from "./layers.ts";
export { loraSpecs, withLora } from "./lora.ts";
export * from "./params.ts";
