import { z } from "zod";
import { ConfigError } from "../../core/errors.ts";

/** Options of every reward that asks a server; `kind` is the reward, for errors. */
export const connectionOptions = (kind: string) => ({
  url: z
    .string()
    .refine((text) => isAddress(kind, text), "must be a whole http or https address")
    .describe("address that is posted to"),
  timeout: z.number().positive().max(86_400).default(60).describe("seconds that one request may take"),
  retries: z.int().nonnegative().default(3).describe("further tries of a request that failed, ever longer apart"),
  concurrency: z.int().positive().default(2).describe("requests under way at once, at most"),
  cache: z.int().nonnegative().default(10_000).describe("scores remembered by picture and prompt; 0 = none"),
  budget: z.int().positive().optional().describe("requests that may be sent, repeated ones included; default: any"),
});

function isAddress(kind: string, text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  // Thrown, because an issue of the schema would be shown together with the password.
  if (username || password) {
    throw new ConfigError(
      `${kind}: reward.url may hold no user name or password, since it is recorded with the run. Put what the server wants to see into an environment variable and name that.`,
    );
  }
  return protocol === "http:" || protocol === "https:";
}
