import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, FormatError } from "../core/errors.ts";
import { isJsonObject } from "../core/parse-json.ts";
import { hubIdOf } from "../hub/index.ts";
import { describeOnnx, type OnnxDescription } from "../onnx/describe.ts";
import { MAX_MODEL_BYTES } from "../onnx/index.ts";
import { findCheckpoint, isLocked, type RunSummary, readRunConfig, readSummary } from "../run/index.ts";
import {
  type DiffusersDescription,
  describeDiffusersFolder,
  describeWeights,
  type WeightsDescription,
} from "../weights/describe.ts";
import { openFile } from "../weights/index.ts";

export interface RunDescription {
  readonly kind: "run directory";
  readonly model?: unknown;
  readonly reward?: unknown;
  readonly objective?: unknown;
  readonly finetune?: unknown;
  /** Updates that the newest checkpoint holds, of those that the configuration asks for. */
  readonly update: number;
  readonly updates: number;
  readonly running: boolean;
  readonly before?: RunSummary["before"];
  readonly after?: RunSummary["after"];
  /** What was trained. */
  readonly weights?: Pick<WeightsDescription, "parameters" | "tensors" | "dtypes" | "bytes">;
}

export type Description =
  | WeightsDescription
  | DiffusersDescription
  | RunDescription
  | (OnnxDescription & { bytes: number });

/** Says what a file or folder is. Throws FormatError for what is none of those it knows, ConfigError where nothing is. */
export async function describePath(path: string): Promise<Description> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(
      `${path} cannot be read (${error.code}). Give a file of weights, a model's folder or a run${hubIdOf(path) ? `, or hf:${path} for a model of the hub` : ""}.`,
    );
  });
  if (!found.isDirectory()) {
    const onnx = await onnxIn(path);
    if (!onnx && path.endsWith(".onnx")) throw new FormatError(`${path} is no ONNX model, or is cut short.`);
    return onnx ?? describeWeights(path);
  }
  if (existsSync(join(path, "model_index.json"))) return describeDiffusersFolder(path);
  if (existsSync(join(path, "events.jsonl"))) return describeRun(path);
  return describeWeights(path);
}

/** ONNX has no signature: its first field is the version of the format, a small number. */
async function onnxIn(path: string): Promise<(OnnxDescription & { bytes: number }) | undefined> {
  const file = await openFile(path);
  try {
    const [tag, version = 0] = await file.read(0, Math.min(2, file.size));
    if (tag !== 0x08 || version < 1 || version > 64 || file.size > MAX_MODEL_BYTES) return undefined;
  } finally {
    await file.close();
  }
  const described = describeOnnx(await readFile(path));
  return described && { ...described, bytes: file.size };
}

async function describeRun(run: string): Promise<RunDescription> {
  const config = await readRunConfig(run);
  const { model, reward, objective, finetune, train } = config as Partial<Record<string, unknown>>;
  const summary = existsSync(join(run, "summary.json")) ? await readSummary(run) : undefined;
  const trained = join(run, "final.safetensors");
  const weights = existsSync(trained) ? await describeWeights(trained) : undefined;
  return {
    kind: "run directory",
    ...Object.fromEntries(
      Object.entries({ model, reward, objective, finetune }).filter(([, part]) => part !== undefined),
    ),
    update: (await findCheckpoint(run))?.step ?? 0,
    updates: isJsonObject(train) && typeof train.updates === "number" ? train.updates : 0,
    running: isLocked(run),
    ...(summary && { before: summary.before, after: summary.after }),
    ...(weights && {
      weights: {
        parameters: weights.parameters,
        tensors: weights.tensors,
        dtypes: weights.dtypes,
        bytes: weights.bytes,
      },
    }),
  };
}
