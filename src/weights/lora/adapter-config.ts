import { z } from "zod";
import { FormatError } from "../../core/errors.ts";
import { matchesGlob } from "../../core/glob.ts";
import { listProblems } from "../list-problems.ts";
import type { Lora } from "./lora.ts";

const pattern = z.record(z.string(), z.number()).nullish();
/** Something peft can do that is no plain low-rank addition: only the value that switches it off is taken. */
const off = z.literal(false).nullish();

const schema = z.looseObject({
  peft_type: z.literal("LORA").optional(),
  r: z.int().positive(),
  lora_alpha: z.number(),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  use_rslora: z.boolean().nullish(),
  use_dora: off,
  fan_in_fan_out: off,
});

/** What peft's `LoraConfig` says about strengths. */
export type AdapterConfig = z.output<typeof schema>;

/** Throws FormatError for another method than LoRA (DoRA, LoKr …), which adds no plain product of two matrices. */
export function parseAdapterConfig(json: unknown, source: string): AdapterConfig {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const problems = listProblems(result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`));
  throw new FormatError(
    `${source}: only plain LoRA and rsLoRA can be read: ${problems}. Merge other adapters into the model where they were trained.`,
  );
}

/**
 * The alpha with which alpha/rank is the module's scale. rsLoRA scales by alpha/√rank (arXiv:2312.03732), so its
 * alpha becomes alpha·√rank.
 */
export function effectiveAlpha(config: AdapterConfig, module: string, rank: number, source: string): number {
  const said = patternValue(config.rank_pattern, module, source) ?? config.r;
  if (said !== rank) {
    throw new FormatError(`${source}: ${module} has rank ${said} by the configuration, but A has ${rank} rows.`);
  }
  const alpha = patternValue(config.alpha_pattern, module, source) ?? config.lora_alpha;
  return config.use_rslora ? alpha * Math.sqrt(rank) : alpha;
}

/**
 * The entry for a module. Keys are regular expressions that peft matches with the end of a name, from a dot on; the first
 * that fits counts. From a foreign file we take only names, `^`, `$`, `\.` and up to three `.*`, which cannot take long.
 */
function patternValue(entries: AdapterConfig["rank_pattern"], module: string, source: string): number | undefined {
  for (const [key, value] of Object.entries(entries ?? {})) {
    const glob = key.replace(/^\^/, "").replace(/\$$/, "").replaceAll("\\.", ".").replaceAll(".*", "*");
    if (!/^[\w.-]*(\*[\w.-]*){0,3}$/.test(glob)) {
      throw new FormatError(
        `${source}: the pattern ${JSON.stringify(key)} is not understood: use names of modules, ^, $ and .* only.`,
      );
    }
    if (matchesGlob(glob, module) || (!key.startsWith("^") && matchesGlob(`*.${glob}`, module))) return value;
  }
  return undefined;
}

/** `LoraConfig` keys for modules of one component, named inside it; `alphaOf` gives the alpha that stands for plain LoRA. */
export function adapterConfig(modules: Lora, alphaOf: (module: Lora[string]) => number): Record<string, unknown> {
  const names = Object.keys(modules).sort();
  const ranks = names.map((name) => modules[name]!.rank);
  const alphas = names.map((name) => alphaOf(modules[name]!));
  const r = mostCommon(ranks);
  const alpha = mostCommon(alphas);
  const others = (values: readonly number[], common: number) =>
    Object.fromEntries(names.flatMap((name, k) => (values[k] === common ? [] : [[`^${name}`, values[k]!]])));
  return {
    r,
    lora_alpha: alpha,
    rank_pattern: others(ranks, r),
    alpha_pattern: others(alphas, alpha),
    target_modules: names,
    use_rslora: false,
    use_dora: false,
  };
}

/** The value that comes most often, the first of equals; at least one must be given. */
export function mostCommon(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}
