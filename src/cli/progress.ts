import type { TrainEvent } from "../train/events.ts";

const plainEverySeconds = 10;

/** Shows events on stderr: one live line on a terminal, a plain line every 10 s elsewhere, with the time left. */
export interface Progress {
  show(event: TrainEvent): void;
  /** Work beside training steps, such as sampling. */
  stage(name: string, fraction: number): void;
  /** The same for a measurement of a model. */
  measuring(stage: string, fraction: number): void;
}

/**
 * Does work that tells its progress; afterwards, or after an error, the live line is ended.
 *
 * @param updates of the whole run, for the time left; 0 where there are stages only
 */
export async function withProgress<T>(updates: number, work: (progress: Progress) => Promise<T>): Promise<T> {
  const progress = progressOf(updates);
  try {
    return await work(progress);
  } finally {
    progress.close();
  }
}

function progressOf(updates: number): Progress & { close(): void } {
  const live = process.stderr.isTTY === true && !process.env.NO_COLOR;
  const seconds = () => Date.now() / 1000;
  /** When the first update that this process makes began, and which it is. */
  let start: { at: number; update: number } | undefined;
  let lastPlain = Number.NEGATIVE_INFINITY;
  let open = false; // a live line without its end
  let stageShown = "";
  const liveLine = (text: string) => {
    process.stderr.write(`\r\x1b[2K${text.slice(0, (process.stderr.columns || 80) - 1)}`);
    open = true;
  };
  const close = () => {
    if (open) process.stderr.write("\n");
    open = false;
  };
  const stage = (name: string, fraction: number) => {
    if (live) liveLine(`${name}: ${Math.floor(100 * fraction)} %`);
    else if (name !== stageShown) process.stderr.write(`${name}\n`);
    stageShown = name;
  };
  return {
    stage,
    measuring: (what, fraction) => stage(`measuring: ${what}`, fraction),
    show(event) {
      if (event.type === "step") {
        start ??= { at: seconds() - event.seconds, update: event.update - 1 };
        const perUpdate = (seconds() - start.at) / (event.update - start.update);
        const line = stepLine(event, perUpdate * (updates - event.update));
        if (live) liveLine(line);
        else if (seconds() - lastPlain >= plainEverySeconds || event.update === updates) {
          lastPlain = seconds();
          process.stderr.write(`${line}\n`);
        }
      } else if (event.type === "resume") {
        close();
        process.stderr.write(`Going on from update ${event.update}.\n`);
      } else if (event.type === "initial-law-step") {
        stage(
          `learning the law of x_0: ${event.stage === "value" ? "its value function" : "the chain that draws it"}`,
          event.update / event.updates,
        );
      } else if (event.type === "initial-law") {
        close();
        process.stderr.write(`The law of x_0 is learned: path KL ${event.kl.toPrecision(3)} to N(0, I).\n`);
      }
    },
    close,
  };
}

function stepLine(event: Extract<TrainEvent, { type: "step" }>, secondsLeft: number): string {
  const losses = Object.entries(event.losses).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  const reward = event.reward === undefined ? [] : [`reward ${event.reward.toFixed(3)}`];
  const share = Math.floor((100 * event.update) / event.updates);
  return [`${event.update}/${event.updates} (${share} %)`, ...reward, ...losses, `${duration(secondsLeft)} left`].join(
    "  ",
  );
}

/** 75 → "1 min 15 s". */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
