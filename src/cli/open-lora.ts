import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { trainedWeights } from "../evaluate/open-model.ts";
import { isMadeUp } from "../models/onnx-modules.ts";
import { readRunConfig } from "../run/index.ts";
import { parseStoredConfig, type RunConfig } from "../train/config.ts";
import { baseModules, checkFits, type Lora, type LoraModule, loraOf, readLora } from "../weights/index.ts";
import { readJsonObject } from "../weights/parse-json.ts";

/** Models whose LoRA has the module names that other tools know; an ONNX file keeps those that it was exported with. */
const modelsWithModules = ["diffusers", "onnx"];

/** The LoRA that a run has trained, with its configuration. Throws ConfigError for a run that trains none, or one of nameless modules. */
export async function loraOfRun(run: string): Promise<{ lora: Lora; config: RunConfig }> {
  const stored = await readRunConfig(run);
  if ("task" in stored) {
    throw new ConfigError(
      `${run} is a pretraining, which trains no LoRA: its model is the folder ${join(run, "model")}.`,
    );
  }
  const config = parseStoredConfig(stored, join(run, "config.json"));
  const { mode, rank, alpha } = config.finetune;
  if (!modelsWithModules.includes(config.model.kind) || mode !== "lora") {
    throw new ConfigError(
      `A LoRA comes from a run with model.kind: diffusers or onnx and finetune.mode: lora, but ${run} has ${config.model.kind} and ${mode}. nabla sample and nabla evaluate use the run as it is.`,
    );
  }
  const found = loraOf({ tensors: await trainedWeights(run, config), metadata: {} }, run);
  const nameless = Object.keys(found).find((name) => isMadeUp(name.split(".").slice(1).join(".")));
  if (nameless) {
    throw new ConfigError(
      `Other tools find a module by its name, but the ONNX file of ${run} has only "${nameless}" for one. Export the network again so that nodes keep their names (torch.onnx.export does), and train on that. nabla sample and nabla evaluate use the run as it is.`,
    );
  }
  const modules = Object.entries(found).map(([name, module]): [string, LoraModule] => {
    return [name, { ...module, alpha: (alpha / rank) * module.rank }];
  });
  return { lora: Object.fromEntries(modules), config };
}

/** A LoRA from a run directory, a file or a folder; with `base`, its names and shapes are checked against that model. */
export async function openLora(path: string, base: string | undefined): Promise<Lora> {
  const model = base === undefined ? undefined : shippedPath(base);
  const modules = model === undefined ? undefined : await baseModules(model);
  const lora = existsSync(join(path, "config.json"))
    ? (await loraOfRun(path)).lora
    : await readLora(path, {
        modules: modules && [...modules.keys()],
        layersPerBlock: model === undefined ? undefined : await layersPerBlock(model),
      });
  if (model !== undefined && modules) checkFits(lora, modules, model);
  return lora;
}

/** Undefined for a transformer, or where the configuration does not say. */
async function layersPerBlock(model: string): Promise<number | undefined> {
  const file = join(model, "unet", "config.json");
  if (!existsSync(file)) return undefined;
  const { layers_per_block } = await readJsonObject(file);
  return typeof layers_per_block === "number" ? layers_per_block : undefined;
}
