import { commitOf, fromHub, type HubId, hubIdOf, isCommit, type OpenHub, showHubId } from "../hub/index.ts";
import { isRewardValue, type TrainConfig } from "./values.ts";

// The option `path` of a model or reward, at any depth, may be a hub id. Kinds know nothing of that: an id is a commit's before a
// run records it, and a local path before a kind loads it.

interface Place {
  /** ["reward", "0", "path"]. */
  readonly keys: readonly string[];
  /** The option `variant` beside the path. */
  readonly variant: string | undefined;
}
type Replace = (id: HubId, place: Place) => Promise<string>;

/** The options of a part with the local path of every hub id, after loading what the cache has not. */
export const withLocalPaths = <Options>(options: Options, openHub: OpenHub): Promise<Options> =>
  mapIds(options, [], async (id, { variant }) => fromHub(await openHub(), id, { variant })) as Promise<Options>;

/**
 * The configuration with the commit of every hub id in place of its branch or tag: `hf:owner/name@COMMIT`. An id which `stored`,
 * the configuration of a run that goes on, has at the same key keeps the commit that stands there.
 */
export async function withCommits(config: TrainConfig, openHub: OpenHub, stored: unknown): Promise<TrainConfig> {
  const pin: Replace = async (id, { keys }) => {
    const kept = isCommit(id.revision) ? undefined : storedId(stored, keys);
    const same = kept && kept.name === id.name && kept.path === id.path;
    return showHubId(same ? kept : { ...id, revision: await commitOf(await openHub(), id) });
  };
  const { model, reward, prompts } = config;
  const pinned = (await mapIds({ model, reward, prompts }, [], pin)) as Pick<
    TrainConfig,
    "model" | "reward" | "prompts"
  >;
  return { ...config, model: pinned.model, prompts: pinned.prompts, ...(reward && { reward: pinned.reward }) };
}

/** The hub id at a commit that stands at a key of a stored configuration. */
function storedId(stored: unknown, keys: readonly string[]): HubId | undefined {
  const text = keys.reduce<unknown>((level, key) => (level as Record<string, unknown> | undefined)?.[key], stored);
  const id = typeof text === "string" ? hubIdOf(text) : undefined;
  return id && isCommit(id.revision) ? id : undefined;
}

async function mapIds(value: unknown, keys: readonly string[], replace: Replace): Promise<unknown> {
  if (typeof value !== "object" || value === null || isRewardValue(value)) return value;
  if (Array.isArray(value)) return Promise.all(value.map((item, k) => mapIds(item, [...keys, String(k)], replace)));
  const { variant } = value as { variant?: unknown };
  const entries = Object.entries(value).map(async ([key, item]): Promise<[string, unknown]> => {
    const place = { keys: [...keys, key], variant: typeof variant === "string" ? variant : undefined };
    const id = key === "path" && typeof item === "string" ? hubIdOf(item) : undefined;
    return [key, id ? await replace(id, place) : await mapIds(item, place.keys, replace)];
  });
  return Object.fromEntries(await Promise.all(entries));
}
