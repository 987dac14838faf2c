import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NamedArrays } from "../../src/core/named-arrays.ts";
import { samplePolicy } from "../../src/evaluate/sample-policy.ts";
import { openRunDirectory } from "../../src/run/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { RunConfig } from "../../src/train/config.ts";
import type { StepEvent, TrainEvent } from "../../src/train/events.ts";
import { finetune } from "../../src/train/finetune.ts";
import { type Parts, prepare } from "../../src/train/prepare.ts";
import { writeSafetensorsFile } from "../../src/weights/index.ts";

export interface TrainingOptions {
  /** Run directory; a temporary one that is removed again when omitted. */
  path?: string;
  parts?: Parts;
  runtime?: Runtime;
  signal?: AbortSignal;
  onEvent?: (event: TrainEvent) => void;
}

export interface Training {
  events: TrainEvent[];
  steps: StepEvent[];
  policy: NamedArrays;
  finished: boolean;
  parts: Parts;
}

/** What a generator returns, whatever it yields. */
export async function result<T>(run: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const { value, done } = await run.next();
    if (done) return value;
  }
}

/** Finetunes in this process, from the folder's checkpoint if it has one. */
export async function train(config: RunConfig, options: TrainingOptions = {}): Promise<Training> {
  const { runtime = nodeRuntime({ threads: 1 }), signal, onEvent } = options;
  const path = options.path ?? mkdtempSync(join(tmpdir(), "nablaflow-train-"));
  const directory = await openRunDirectory(path, config, { resume: true });
  const parts = options.parts ?? (await prepare(config));
  const events: TrainEvent[] = [];
  try {
    const run = finetune({ config, parts, runtime, directory, signal });
    for (;;) {
      const { value, done } = await run.next();
      if (done) {
        const steps = events.filter((event): event is StepEvent => event.type === "step");
        return { events, steps, ...value, parts };
      }
      events.push(value);
      onEvent?.(value);
    }
  } finally {
    directory.release();
    if (!options.path) rmSync(path, { recursive: true });
  }
}

/** Clean samples of a policy (the pretrained one when undefined), with noise that depends on the seed alone. */
export async function samplesOf(parts: Parts, policy: NamedArrays | undefined, prompts: readonly string[], seed = 7) {
  const request = { prompts, seed, purpose: "sampling", block: Math.min(prompts.length, 500) } as const;
  const { states } = await samplePolicy(nodeRuntime({ threads: 1 }), parts, policy, request);
  return states.at(-1)!;
}

/** Trains to the end and writes final.safetensors: weights, and samples made with them. */
export async function trainToFile(config: RunConfig, path: string, options: TrainingOptions = {}): Promise<boolean> {
  const { policy, finished, parts } = await train(config, { ...options, path });
  if (!finished) return false;
  const data = await samplesOf(parts, policy, [...parts.prompts, ...parts.prompts]);
  await writeSafetensorsFile(join(path, "final.safetensors"), { ...policy, samples: { shape: [data.length], data } });
  return true;
}
