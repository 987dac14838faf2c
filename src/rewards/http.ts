import { z } from "zod";
import { eightBitPictures } from "./eight-bit.ts";
import { scoresIn } from "./http/answer.ts";
import { openClient } from "./http/client.ts";
import { headersFrom, refuseHeaders } from "./http/headers.ts";
import { connectionOptions } from "./http/options.ts";
import { openScores, pngBase64, type Sample } from "./http/scores.ts";
import { defineReward } from "./reward.ts";

const kind = "http";
const options = z.strictObject({
  ...connectionOptions(kind),
  batch: z.int().positive().default(16).describe("pictures per request, at most"),
  headers: z
    .record(z.string(), z.string())
    .refine(refuseHeaders)
    .default({})
    .describe("header name: environment variable that holds its value"),
});

/**
 * A score that a server gives: POST {images: [base64 PNG, …], prompts: [string, …]} is answered with {rewards: [number, …]}.
 * What comes back is data only, bounded and checked; header values are read from the environment and shown nowhere.
 */
export const http = defineReward({
  kind,
  summary: "a score that a server gives over HTTP for pictures and their prompts",
  options,
  async load({ batch, ...options }) {
    const headers = headersFrom(options.headers, process.env);
    const client = openClient({ ...options, kind, headers, secrets: "reward.headers" });
    return openScores(client, { batch, question, scores: scoresIn }, options);
  },
  host: async (input, _, scores) => scores(eightBitPictures(kind, input), input.prompts),
});

async function question(samples: readonly Sample[]): Promise<string> {
  const images = await Promise.all(samples.map(({ picture }) => pngBase64(picture)));
  return JSON.stringify({ images, prompts: samples.map(({ prompt }) => prompt) });
}
