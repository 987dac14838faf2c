import { Option } from "commander";
import { loraFormats, type WrittenFormat } from "../weights/index.ts";

export const formatOption = () =>
  new Option(
    "--format <format>",
    "diffusers: pytorch_lora_weights.safetensors; peft: a folder; kohya: for A1111",
  ).choices(loraFormats);

export const dtypeOption = () =>
  new Option("--dtype <type>", "number format of the file").choices(["f32", "f16", "bf16"]).default("f32");

export type DtypeFlag = Lowercase<WrittenFormat>;
export const writtenFormat = (flag: DtypeFlag): WrittenFormat => flag.toUpperCase() as WrittenFormat;

export const baseHelp = "diffusers folder of the model, to check that the LoRA fits and to resolve kohya names";
