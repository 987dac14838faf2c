import type { TrainEvent } from "../train/events.ts";

const plainEverySeconds = 10;

/** Shows events on stderr: one live line on a terminal, a plain line every 10 s elsewhere, with the time left. */
export interface Progress {
  show(event: TrainEvent): void;
  /** Work beside training steps, such as an evaluation. */
  stage(name: string, fraction: number): void;
  close(): void;
}

export function progressOf(updates: number): Progress {
  const live = process.stderr.isTTY === true && !process.env.NO_COLOR;
  const started = Date.now();
  let first: number | undefined;
  let lastPlain = 0;
  let stageShown = "";
  return {
    stage(name, fraction) {
      if (live) process.stderr.write(`\r\x1b[2K${name}: ${Math.floor(100 * fraction)} %`);
      else if (name !== stageShown) process.stderr.write(`measuring: ${name}\n`);
      stageShown = name;
    },
    show(event) {
      if (event.type === "step") {
        first ??= event.update - 1;
        const elapsed = (Date.now() - started) / 1000;
        const left = (elapsed / (event.update - first)) * (updates - event.update);
        const line = stepLine(event, left);
        if (live) process.stderr.write(`\r\x1b[2K${line}`);
        else if (elapsed - lastPlain >= plainEverySeconds || event.update === updates) {
          lastPlain = elapsed;
          process.stderr.write(`${line}\n`);
        }
      } else if (event.type === "resume") process.stderr.write(`Going on from update ${event.update}.\n`);
    },
    close() {
      if (live) process.stderr.write("\n");
    },
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
