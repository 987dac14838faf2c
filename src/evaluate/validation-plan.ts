import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { kindOf, mergeConfig } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import type { Aim } from "../objectives/index.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { differingKeys, type RunSummary, readRunConfig, readSummary } from "../run/index.ts";
import { type RunConfig, readConfig } from "../train/config.ts";
import { evaluationsPerUpdate } from "../train/evaluations.ts";
import { prepare, prepareSampling, rewardsByPrompt } from "../train/prepare.ts";
import type { Method } from "./methods.ts";
import { targetLaw } from "./path-summary.ts";

export interface PlanOptions {
  /** Configuration files of exact worlds; a world goes by the name of its file. */
  worlds: readonly string[];
  methods: readonly Method[];
  /** Seeds of the training; the evaluation has that of the world. */
  seeds: readonly number[];
  /** Default: those of the world. */
  updates?: number | undefined;
  /** In place of `updates`: evaluations of the denoiser that each run may take, so that methods are compared at equal cost. */
  evaluations?: number | undefined;
  /** Samples of what is measured before and after a run. Default: the world's; the exact measures never rest on fewer than 10,000. */
  imagesPerPrompt?: number | undefined;
  /** Folder of the run directories WORLD/METHOD/seed-K. */
  out: string;
}

/** One run that a validation asks for. */
export interface PlannedRun {
  readonly world: string;
  readonly method: string;
  readonly seed: number;
  /** Its run directory. */
  readonly path: string;
  readonly config: RunConfig;
}

export interface PlannedWorld {
  readonly world: string;
  readonly updates: number;
  readonly beta: number;
  /** Of the first method that fits; one that aims at another is refused. */
  readonly priorStrength: number;
  readonly methods: readonly PlannedMethod[];
}

export type PlannedMethod =
  | { readonly method: string; readonly aim: Aim; readonly cost: RunCost; readonly runs: readonly PlannedRun[] }
  | { readonly method: string; readonly refused: string; readonly runs: readonly [] };

/** Updates of a run, and its evaluations of the denoiser. */
export interface RunCost {
  readonly updates: number;
  readonly evaluations: number;
}

/**
 * All runs of a validation, checked before the first begins. Throws ConfigError for a world without an exact target, an
 * unknown method, and a folder that holds a run of another configuration.
 */
export async function planValidation(options: PlanOptions): Promise<PlannedWorld[]> {
  const { worlds, methods, seeds, out } = options;
  for (const { set } of methods) kindOf("objective", objectiveKinds, set.objective);
  const names = worlds.map((path) => basename(path).replace(/\.ya?ml$/, ""));
  const twice = names.find((name, k) => names.indexOf(name) < k);
  if (twice !== undefined) {
    throw new ConfigError(`A world goes by the name of its file, but two are called "${twice}". Rename one of them.`);
  }
  const planned: PlannedWorld[] = [];
  for (const [k, path] of worlds.entries()) {
    const world = names[k]!;
    const base = await readWorld(path, options);
    const rows: PlannedMethod[] = [];
    let first: { method: string; priorStrength: number } | undefined;
    for (const method of methods) {
      const found = await configOf(path, base, method, options.evaluations);
      if (typeof found === "string") {
        rows.push({ method: method.name, runs: [], refused: found });
        continue;
      }
      const { priorStrength } = targetLaw(found.config);
      first ??= { method: method.name, priorStrength };
      if (priorStrength !== first.priorStrength) {
        const refused = `it aims at a priorStrength of ${priorStrength}, ${first.method} at one of ${first.priorStrength}: methods of one table share the target, so give it a file of its own.`;
        rows.push({ method: method.name, runs: [], refused });
        continue;
      }
      const runs = seeds.map((seed) => ({
        world,
        method: method.name,
        seed,
        path: join(out, world, method.name, `seed-${seed}`),
        config: { ...found.config, train: { ...found.config.train, seed } },
      }));
      for (const run of runs) await finishedSummary(run);
      rows.push({ method: method.name, aim: found.aim, cost: found.cost, runs });
    }
    planned.push({
      world,
      updates: base.train.updates,
      beta: betaOf(base),
      priorStrength: first?.priorStrength ?? 1,
      methods: rows,
    });
  }
  return planned;
}

/**
 * The summary of a planned run if it has been made; undefined when there is none, or it is unfinished. Throws ConfigError
 * when its folder holds a run of another configuration.
 */
export async function finishedSummary({ path, config }: PlannedRun): Promise<RunSummary | undefined> {
  if (!existsSync(join(path, "config.json"))) return undefined;
  const differing = differingKeys(await readRunConfig(path), JSON.parse(JSON.stringify(config)));
  if (differing.length > 0) {
    throw new ConfigError(
      `A validation reuses runs of the same configuration only, but in ${path} these keys differ: ${differing.join(", ")}. Choose another --out, or delete that run.`,
    );
  }
  return existsSync(join(path, "summary.json")) ? readSummary(path) : undefined;
}

async function readWorld(path: string, { updates, imagesPerPrompt }: PlanOptions): Promise<RunConfig> {
  const config = await readConfig(path, {
    named: {
      ...(updates !== undefined && { train: { updates } }),
      ...(imagesPerPrompt !== undefined && { evaluate: { imagesPerPrompt } }),
    },
  });
  const { model } = await prepareSampling(config);
  const closedForms = model.prior ? Object.values(await rewardsByPrompt(config)) : [undefined];
  if (closedForms.every((reward) => reward !== undefined)) return config;
  throw new ConfigError(
    `validate compares with a target known exactly, but ${path} has none. Give a world with model.kind gaussian-mixture and one reward with a closed form, such as configs/worlds/ring8.yaml; nabla train measures the others.`,
  );
}

/** The world's configuration with another method and, for a budget, its number of updates; or why the method does not fit. */
async function configOf(
  path: string,
  base: RunConfig,
  { set }: Method,
  budget: number | undefined,
): Promise<{ config: RunConfig; aim: Aim; cost: RunCost } | string> {
  const beta = betaOf(base);
  const [kind] = kindOf("objective", objectiveKinds, set.objective);
  const takesBeta = "beta" in (z.toJSONSchema(kind.options, { io: "input", unrepresentable: "any" }).properties ?? {});
  const { train } = base;
  // a method without a β of its own is measured against the world's target all the same
  const evaluate = { ...base.evaluate, ...(!takesBeta && beta !== 1 && { beta }) };
  const objective = { ...set.objective, ...(takesBeta && { beta }) };
  try {
    const config = await readConfig(path, { named: mergeConfig({ train, evaluate }, { ...set, objective }) });
    const { objective: prepared, chain } = await prepare(config);
    if (kind.aim === "reward-alone") {
      const rewards = Object.values(await rewardsByPrompt(config));
      if (rewards.some((reward) => reward?.kind === "linear")) {
        return `${kind.kind} aims at exp(beta · r) without the prior, which has no finite integral for a linear reward.`;
      }
    }
    const each = evaluationsPerUpdate(prepared, chain.T, config.train);
    const updates = budget === undefined ? config.train.updates : Math.max(1, Math.round(budget / each));
    return {
      config: { ...config, train: { ...config.train, updates } },
      aim: kind.aim,
      cost: { updates, evaluations: updates * each },
    };
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

const betaOf = ({ objective }: RunConfig): number => (objective as { beta?: number }).beta ?? 1;
