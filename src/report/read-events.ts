import { z } from "zod";
import { parseJson } from "../core/parse-json.ts";

/** One update of training, as far as the report draws it. A value that was not finite is NaN. */
export interface StepEvent {
  update: number;
  updates?: number | undefined;
  reward?: number | undefined;
  rewardStd?: number | undefined;
  losses: Record<string, number>;
  gradientNorm: Record<string, number>;
}

/** A periodic evaluation: every number it gave, by name. */
export interface EvaluationEvent {
  update: number;
  measures: Record<string, number>;
}

export interface Events {
  steps: StepEvent[];
  evaluations: EvaluationEvent[];
  /** Lines that cannot be read, a cut last one aside. */
  unreadable: number;
}

const value = z
  .number()
  .nullable()
  .transform((number) => number ?? Number.NaN); // JSON writes NaN and the infinities as null
const values = z.record(z.string(), value).default({});

const stepSchema = z.object({
  update: z.number(),
  updates: z.number().optional(),
  reward: value.optional(),
  rewardStd: value.optional(),
  losses: values,
  gradientNorm: values,
});

const evaluationSchema = z.looseObject({ update: z.number() }).transform(({ update, ...rest }): EvaluationEvent => {
  const measures: Record<string, number> = {};
  for (const [key, entry] of Object.entries(rest)) {
    const timing = key === "time" || key === "seconds" || /(?:Ms|Bytes)$/.test(key);
    if (!timing && (typeof entry === "number" || entry === null)) measures[key] = entry ?? Number.NaN;
  }
  return { update, measures };
});

/** Reads the lines of events.jsonl. Other event types are passed over; a run that was killed may leave half a last line. */
export function readEvents(text: string): Events {
  const events: Events = { steps: [], evaluations: [], unreadable: 0 };
  const lines = text.split("\n");
  lines.forEach((line, at) => {
    if (line.trim() === "") return;
    if (!readLine(line, events) && at < lines.length - 1) events.unreadable++;
  });
  return events;
}

/** Adds the event of a line. False if the line is no event. */
function readLine(line: string, events: Events): boolean {
  let data: unknown;
  try {
    data = parseJson(line, "an event");
  } catch {
    return false;
  }
  const type = (data as { type?: unknown } | null)?.type;
  if (type === "step") {
    const step = stepSchema.safeParse(data);
    if (step.success) events.steps.push(step.data);
    return step.success;
  }
  if (type === "evaluation") {
    const evaluation = evaluationSchema.safeParse(data);
    if (evaluation.success) events.evaluations.push(evaluation.data);
    return evaluation.success;
  }
  return typeof type === "string";
}
