import { setTimeout } from "node:timers/promises";
import { NablaError } from "../../core/errors.ts";
import { type Exchange, exchange } from "./exchange.ts";

export interface ClientOptions {
  /** Of the reward, for errors. */
  kind: string;
  url: string;
  /** Values included: never part of an error. */
  headers: Readonly<Record<string, string>>;
  /** The option that names the environment variables of the headers, for errors. */
  secrets: string;
  /** Seconds per request. */
  timeout: number;
  retries: number;
  /** Requests over the life of the client, repeated ones included. */
  budget?: number | undefined;
}

export interface Client {
  /** Reward and server as errors name them: without the query, which may hold a key. */
  readonly address: string;
  /** Text of the answer to a JSON body. Throws NablaError when the server gives none. */
  post(body: string, signal: AbortSignal): Promise<string>;
}

/** Resolves after so many seconds, or rejects when the signal is aborted. */
export type Wait = (seconds: number, signal: AbortSignal) => Promise<unknown>;

const firstWait = 0.5; // seconds
const longestWait = 30;
/** Seconds that a server may ask us to wait; a longer silence is for a person to decide on. */
const longestRetryAfter = 300;

const waitFor: Wait = (seconds, signal) => setTimeout(1000 * seconds, undefined, { signal });

/** Posts to one address. What may pass (no connection, no answer in time, 429, 5xx) is tried again after 0.5, 1, 2, … seconds. */
export function openClient(options: ClientOptions, wait: Wait = waitFor): Client {
  const { kind, url, headers, secrets, timeout, retries, budget } = options;
  const { origin, pathname } = new URL(url);
  const address = `${kind}: ${origin}${pathname}`;
  const fail = (what: string): never => {
    throw new NablaError(`${address} ${what}`);
  };
  let sent = 0;

  const send = (body: string, signal: AbortSignal): Promise<Exchange> => {
    signal.throwIfAborted();
    if (budget !== undefined && sent >= budget) {
      fail(`has been sent the ${budget} requests that reward.budget allows. Raise it, or train for fewer updates.`);
    }
    sent++;
    return exchange({ url, headers, secrets, body, seconds: timeout, signal });
  };

  return {
    address,
    async post(body, signal) {
      for (let attempt = 0; ; attempt++) {
        const answer = await send(body, signal);
        if (answer.kind === "text") return answer.text;
        if (answer.kind === "refusal") return fail(answer.why);
        if (attempt === retries) {
          const times = attempt === 0 ? "failed: it" : `failed ${attempt + 1} times in a row; the last time it`;
          return fail(`${times} ${answer.why}. See whether it is running.`);
        }
        const { retryAfter = Math.min(longestWait, firstWait * 2 ** attempt) } = answer;
        if (retryAfter > longestRetryAfter) {
          return fail(`asks for a wait of ${retryAfter} s, more than ${longestRetryAfter} s. Resume the run later.`);
        }
        await wait(retryAfter, signal);
      }
    },
  };
}
