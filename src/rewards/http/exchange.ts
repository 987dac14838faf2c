/** One request and what became of it: an answer, a failure that may pass, or one that will not. */
export type Exchange =
  | { kind: "text"; text: string }
  | { kind: "failure"; why: string; retryAfter?: number }
  | { kind: "refusal"; why: string };

export interface Question {
  url: string;
  headers: Readonly<Record<string, string>>;
  /** JSON. */
  body: string;
  /** Longest time until the answer has come whole. */
  seconds: number;
  signal: AbortSignal;
  /** The option that names the environment variables of the headers, for errors. */
  secrets: string;
}

/** Bytes of an answer that are read, after decompression: thousands of scores take a few tens of kB. */
export const answerLimit = 2 ** 20;

/** Sends one request. Nothing the server or the network says is quoted, since it may repeat a token; rejects only when aborted. */
export async function exchange({ url, headers, body, seconds, signal, secrets }: Question): Promise<Exchange> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener("abort", abort, { once: true });
  const timer = setTimeout(abort, 1000 * seconds);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json", accept: "application/json" },
      body,
      redirect: "manual", // a token goes to no other address
      signal: stop.signal,
    });
    if (response.ok) return await answerOf(response);
    await response.body?.cancel();
    return failureOf(response, secrets);
  } catch (error) {
    signal.throwIfAborted();
    if (stop.signal.aborted) return { kind: "failure", why: `gave no answer within ${seconds} s (reward.timeout)` };
    const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
    return { kind: "failure", why: `broke the connection or took none${typeof code === "string" ? ` (${code})` : ""}` };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

async function answerOf(response: Response): Promise<Exchange> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    // Leaving the loop cancels what is still to come.
    if (bytes > answerLimit) {
      return {
        kind: "refusal",
        why: `answers with more than ${answerLimit} bytes. Scores take a small part of that.`,
      };
    }
    parts.push(part);
  }
  return { kind: "text", text: Buffer.concat(parts).toString("utf8") };
}

function failureOf({ status, headers }: Response, secrets: string): Exchange {
  if (status === 429 || status >= 500) {
    const retryAfter = secondsUntil(headers.get("retry-after"), headers.get("date"));
    return { kind: "failure", why: `answered with status ${status}`, ...(retryAfter !== undefined && { retryAfter }) };
  }
  const wayOut =
    status >= 300 && status < 400
      ? "a redirect, which is not followed. Give the address it leads to"
      : status === 401 || status === 403
        ? `which means that it wants another token. Check the environment variables that ${secrets} names`
        : "which no repetition mends. Check reward.url and what the server expects";
  return { kind: "refusal", why: `answers with status ${status}, ${wayOut}.` };
}

/** Retry-After in seconds or as a date, which the server's own clock tells from now [RFC 9110, 10.2.3]. */
function secondsUntil(retryAfter: string | null, now: string | null): number | undefined {
  if (retryAfter === null) return undefined;
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  const seconds = (Date.parse(retryAfter) - Date.parse(now ?? "")) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
