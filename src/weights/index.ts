export * from "./diffusers-folder.ts";
export * from "./number-formats.ts";
export * from "./safetensors.ts";
export * from "./safetensors-file.ts";
