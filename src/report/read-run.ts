import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { type Events, readEvents } from "./read-events.ts";
import { readJson, readText } from "./read-json.ts";
import { readSamples, type Samples } from "./read-samples.ts";
import { type Summary, summarySchema } from "./read-summary.ts";

/** All that a report knows. Parts that the directory lacks are undefined or empty. */
export interface Run {
  name: string;
  config?: Record<string, unknown> | undefined;
  events: Events;
  summary?: Summary | undefined;
  samples: Samples;
}

/** Reads a run directory. Throws ConfigError if there is none, FormatError if one of its JSON files is damaged. */
export async function readRun(directory: string): Promise<Run> {
  const config = await readJson(join(directory, "config.json"), z.record(z.string(), z.unknown()));
  const summary = await readJson(join(directory, "summary.json"), summarySchema);
  const events = await readText(join(directory, "events.jsonl"));
  if (config === undefined && summary === undefined && events === undefined) {
    const found = (await stat(directory).catch(() => undefined))?.isDirectory() ? "holds none of them" : "is no folder";
    throw new ConfigError(
      `A run directory holds config.json, events.jsonl or summary.json, but ${directory} ${found}. Give the --out folder of a training run.`,
    );
  }
  return {
    name: basename(resolve(directory)),
    config,
    events: readEvents(events ?? ""),
    summary,
    samples: await readSamples(join(directory, "samples")),
  };
}
