export * from "./number-formats.ts";
export * from "./safetensors.ts";
export * from "./safetensors-file.ts";
