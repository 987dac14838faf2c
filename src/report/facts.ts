import { duration, grouped } from "./format.ts";
import type { Events } from "./read-events.ts";
import type { Run } from "./read-run.ts";

/** A short answer to "which run is this?": name and value. */
export type Fact = readonly [name: string, value: string];

/** "animals-32, aligned with style-score", as far as the configuration tells; else the name of the run. */
export function runTitle({ config, name }: Run): string {
  const model = modelName(config?.model);
  const reward = rewardNames(config).join(" + ");
  if (!model) return name;
  return reward ? `${model}, aligned with ${reward}` : model;
}

export function runFacts({ name, config, events, summary }: Run): Fact[] {
  const { objective, sampler, train } = (config ?? {}) as Record<string, Record<string, unknown> | undefined>;
  const facts: [string, string | undefined][] = [
    ["Run", name],
    ["Method", described(objective, "beta", "β")],
    ["Sampler", described(sampler, "steps", "steps")],
    ["Updates", updates(events, train?.updates)],
    ["Training seed", text(train?.seed)],
    ["Time", summary?.seconds === undefined ? undefined : duration(summary.seconds)],
  ];
  return facts.flatMap(([key, value]) => (value ? [[key, value] as const] : []));
}

/** "200", or "120 of 200" when the run stopped before. */
function updates({ steps }: Events, configured: unknown): string | undefined {
  const last = steps.at(-1);
  const planned = last?.updates ?? (typeof configured === "number" ? configured : undefined);
  const done = last?.update ?? planned;
  if (done === undefined || planned === undefined) return done === undefined ? undefined : grouped(done);
  return done < planned - 1 ? `${grouped(done)} of ${grouped(planned)}` : grouped(planned); // counted from 0 or from 1
}

function modelName(model: unknown): string | undefined {
  const { path, kind } = (model ?? {}) as Record<string, unknown>;
  const last = text(path)?.split(/[\\/]/).filter(Boolean).at(-1);
  return last ?? text(kind);
}

function rewardNames(config: Run["config"]): string[] {
  const given = config?.reward === undefined ? [] : [config.reward].flat();
  return given.flatMap((entry) => text((entry as Record<string, unknown> | null)?.kind) ?? []);
}

const described = (part: Record<string, unknown> | undefined, key: string, symbol: string): string | undefined => {
  const kind = text(part?.kind);
  const value = text(part?.[key]);
  if (!kind || !value) return kind;
  return symbol === key ? `${kind}, ${value} ${key}` : `${kind}, ${symbol}\u00a0=\u00a0${value}`;
};

const text = (value: unknown): string | undefined =>
  typeof value === "string" || typeof value === "number" ? String(value) : undefined;
