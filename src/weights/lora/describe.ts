import type { WeightsFile } from "../weights-file.ts";
import { dottedKey } from "./keys.ts";
import { isKohyaName } from "./kohya.ts";
import { loraOf, readLora } from "./read-lora.ts";

/** What a LoRA is, for people who look at a file. */
export interface LoraDescription {
  readonly dialect: "kohya" | "peft" | "attention processors" | "diffusers before 0.21" | "diffusers";
  /** Modules with an addition. */
  readonly modules: number;
  /** Each rank and each alpha that modules have, the smallest first. */
  readonly ranks: readonly number[];
  readonly alphas: readonly number[];
}

/** Describes weights that are a LoRA; undefined when they are none. A peft folder's configuration is read with them. */
export async function describeLora(file: WeightsFile): Promise<LoraDescription | undefined> {
  const names = [...file.tensors.keys()];
  const dialect = dialectOf(names);
  if (dialect === undefined) return undefined;
  if (dialect !== "kohya") {
    const { name, kind } = file.source;
    const lora =
      kind === "safetensors" && dialect === "peft" ? await readLora(name) : loraOf(await file.readAll(), name);
    const modules = Object.values(lora);
    return { dialect, ...strengthsOf(modules) };
  }
  // Which module a kohya name means may need its model; rank and alpha do not. No alpha, or 0, means alpha = rank.
  const strengths: { rank: number; alpha: number }[] = [];
  for (const name of names.filter((candidate) => candidate.endsWith(".lora_down.weight"))) {
    const rank = file.tensors.get(name)!.shape[0] ?? 0;
    const written = name.replace(/\.lora_down\.weight$/, ".alpha");
    const alpha = file.tensors.has(written) ? (await file.read(written)).data[0] : undefined;
    strengths.push({ rank, alpha: alpha || rank });
  }
  return { dialect, ...strengthsOf(strengths) };
}

const strengthsOf = (modules: readonly { rank: number; alpha: number }[]) => ({
  modules: modules.length,
  ranks: distinct(modules.map(({ rank }) => rank)),
  alphas: distinct(modules.map(({ alpha }) => alpha)),
});

/** Told by the endings of the names, see keys.ts. */
function dialectOf(names: readonly string[]): LoraDescription["dialect"] | undefined {
  if (names.some((name) => isKohyaName(name) && name.endsWith(".lora_down.weight"))) return "kohya";
  const pairs = names.filter((name) => /lora/i.test(name) && dottedKey(name)?.part === "down");
  if (pairs.length === 0) return undefined;
  if (pairs.some((name) => name.startsWith("base_model.model."))) return "peft";
  if (pairs.some((name) => name.includes(".processor."))) return "attention processors";
  return pairs.some((name) => /\.lora_A\./.test(name)) ? "diffusers" : "diffusers before 0.21";
}

const distinct = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);
