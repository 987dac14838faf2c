import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Rng } from "../../src/core/rng.ts";
import type { RunConfig } from "../../src/train/config.ts";
import { prepare } from "../../src/train/prepare.ts";
import { writeSafetensorsFile } from "../../src/weights/index.ts";

/** Makes `path` the folder of a finished run whose policy is the pretrained model still. */
export async function writeUntrainedRun(path: string, config: RunConfig): Promise<void> {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  const { adaptation } = await prepare(config);
  await writeSafetensorsFile(join(path, "final.safetensors"), adaptation.init(new Rng(0)));
}
