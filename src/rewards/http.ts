import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { eightBitPictures } from "./eight-bit.ts";
import { openClient } from "./http/client.ts";
import { headersFrom, refuseHeaders } from "./http/headers.ts";
import { openScores } from "./http/scores.ts";
import { defineReward } from "./reward.ts";

const options = z.strictObject({
  url: z.string().refine(isAddress, "must be a whole http or https address").describe("address that is posted to"),
  batch: z.int().positive().default(16).describe("pictures per request, at most"),
  timeout: z.number().positive().max(86_400).default(60).describe("seconds that one request may take"),
  retries: z.int().nonnegative().default(3).describe("further tries of a request that failed, ever longer apart"),
  concurrency: z.int().positive().default(2).describe("requests under way at once, at most"),
  cache: z.int().nonnegative().default(10_000).describe("scores remembered by picture and prompt; 0 = none"),
  headers: z
    .record(z.string(), z.string())
    .refine(refuseHeaders)
    .default({})
    .describe("header name: environment variable that holds its value"),
  budget: z.int().positive().optional().describe("requests that may be sent, repeated ones included; default: any"),
});

/**
 * A score that a server gives: POST {images: [base64 PNG, …], prompts: [string, …]} is answered with {rewards: [number, …]}.
 * What comes back is data only, bounded and checked; header values are read from the environment and shown nowhere.
 */
export const http = defineReward({
  kind: "http",
  summary: "a score that a server gives over HTTP for pictures and their prompts",
  options,
  load: async (options) =>
    openScores(openClient({ ...options, headers: headersFrom(options.headers, process.env) }), options),
  host: async (input, _, scores) => scores(eightBitPictures("http", input), input.prompts),
});

function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  // Thrown, because an issue of the schema would be shown together with the password.
  if (username || password) {
    throw new ConfigError(
      "http: reward.url may hold no user name or password, since it is recorded with the run. Put the whole header value into an environment variable and name it: headers: { Authorization: MY_TOKEN }.",
    );
  }
  return protocol === "http:" || protocol === "https:";
}
