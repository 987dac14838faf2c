import { join } from "node:path";
import { EventWriter, type RunDirectory, readCheckpoint, writeCheckpoint } from "../run/index.ts";
import type { TrainEvent } from "./events.ts";
import type { RunRecord } from "./finetune-loop.ts";

/** Keeps a run in its directory: events.jsonl, and checkpoints of which the newest two stay. */
export async function directoryRecord({ path, checkpoint }: RunDirectory): Promise<RunRecord> {
  const saved = checkpoint && (await readCheckpoint(checkpoint.path));
  const events = new EventWriter<TrainEvent>(join(path, "events.jsonl"), saved?.eventsBytes);
  return {
    saved,
    tell: (event) => events.append(event),
    async save(state) {
      events.sync();
      const content = { ...state.saved(), eventsBytes: events.bytes };
      const place = await writeCheckpoint(path, content, { keep: 2 });
      return [{ type: "checkpoint", update: state.update, path: place.path.slice(path.length + 1) }];
    },
    close: () => events.close(),
  };
}
