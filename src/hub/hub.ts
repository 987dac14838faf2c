import { ConfigError } from "../core/errors.ts";

/** Bytes of one repository that have come, of those that are to come. */
export interface DownloadProgress {
  /** "owner/name". */
  readonly name: string;
  readonly received: number;
  readonly total: number;
}

/** Where models come from, and where they are kept. */
export interface Hub {
  /** Address without "/" at its end. */
  readonly endpoint: string;
  /** Folder of the cache, in the layout that Python's huggingface_hub reads and writes, too. */
  readonly cache: string;
  /** A function, so that whoever prints or records a hub does not print its token. */
  readonly token: () => string | undefined;
  /** Take what the cache holds and ask nobody. */
  readonly offline: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Told what a reader should know and need not act on. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/** Opened when the first hub id is met, so that nothing of the hub is needed, or can be wrong, where none is. */
export type OpenHub = () => Promise<Hub>;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The hub of HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. Throws ConfigError, without any value of the token, for what cannot be
 * used.
 */
export function hubOf(environment: Environment, cache: string): Hub {
  const { HF_ENDPOINT: given, HF_TOKEN: token, HF_HUB_OFFLINE: offline = "" } = environment;
  const endpoint = (given || "https://huggingface.co").replace(/\/+$/, "");
  const { protocol, username, password, hostname } = URL.canParse(endpoint) ? new URL(endpoint) : noAddress;
  if (!/^https?:$/.test(protocol) || username || password)
    throw new ConfigError(
      "HF_ENDPOINT must be an http or https address without user name or password. Unset it for https://huggingface.co.",
    );
  // Visible ASCII: what else there is, fetch would refuse and quote.
  if (token && !/^[\x21-\x7e]+$/.test(token))
    throw new ConfigError("HF_TOKEN holds characters that no token has, such as a line break. Set it without them.");
  if (token && protocol === "http:" && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
    throw new ConfigError("HF_TOKEN is sent over https only, but HF_ENDPOINT is http. Change it, or unset HF_TOKEN.");
  return {
    endpoint,
    cache,
    token: () => token || undefined,
    offline: /^(1|on|yes|true)$/i.test(offline),
  };
}

const noAddress = { protocol: "", username: "", password: "", hostname: "" };

/** The hub of this process's environment; the cache is that of HF_HUB_CACHE or HF_HOME, else ~/.cache/huggingface/hub. */
export async function hubFromEnvironment(told: Pick<Hub, "signal" | "onProgress" | "onNotice"> = {}): Promise<Hub> {
  const { getHFHubCachePath } = await import("@huggingface/hub");
  return { ...hubOf(process.env, getHFHubCachePath()), ...told };
}
