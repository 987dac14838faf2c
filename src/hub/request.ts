import { HubError, HubUnreachable } from "./errors.ts";
import type { Hub } from "./hub.ts";

const mostRedirects = 5;
const silentSeconds = 60;

/**
 * Asks the hub, follows redirects, and gives what comes to `read`. The token goes to the hub's own address only, and to
 * nobody whom a redirect names. Neither what a server says nor a header is ever quoted, since it may repeat the token. Throws
 * HubUnreachable where no connection holds, or nothing comes for a minute; rejects with an AbortError when `hub.signal` is
 * aborted.
 */
export async function request<T>(
  hub: Hub,
  address: string,
  headers: Readonly<Record<string, string>>,
  read: (response: Response, alive: () => void) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  hub.signal?.throwIfAborted();
  hub.signal?.addEventListener("abort", abort, { once: true });
  const timer = setTimeout(abort, 1000 * silentSeconds);
  try {
    const response = await follow(hub, new URL(address), headers, stop.signal);
    try {
      return await read(response, () => timer.refresh());
    } finally {
      if (response.body && !response.body.locked) await response.body.cancel();
    }
  } catch (error) {
    hub.signal?.throwIfAborted();
    if (stop.signal.aborted) throw new HubUnreachable(`${hub.endpoint} gave no answer for ${silentSeconds} s.`);
    // fetch throws a TypeError for whatever the network did; its cause has the code of the system.
    if (!(error instanceof TypeError)) throw error;
    const { code } = (error.cause ?? {}) as { code?: unknown };
    throw new HubUnreachable(
      `${hub.endpoint} cannot be reached, or broke the connection${typeof code === "string" ? ` (${code})` : ""}.`,
    );
  } finally {
    clearTimeout(timer);
    hub.signal?.removeEventListener("abort", abort);
  }
}

async function follow(
  hub: Hub,
  start: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  const { origin } = new URL(hub.endpoint);
  const token = hub.token();
  let url = start;
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const own = token !== undefined && url.origin === origin ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(url, { headers: { ...headers, ...own }, redirect: "manual", signal });
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    if (!URL.canParse(location, url.href)) throw new HubError(`${hub.endpoint} redirects to what is no address.`);
    const next = new URL(location, url);
    if (!/^https?:$/.test(next.protocol) || (url.protocol === "https:" && next.protocol === "http:"))
      throw new HubError(`${hub.endpoint} redirects from ${url.protocol} to ${next.protocol}, which is not followed.`);
    url = next;
  }
  throw new HubError(`${hub.endpoint} redirects more than ${mostRedirects} times. Check HF_ENDPOINT.`);
}
