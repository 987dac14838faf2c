import { nodeRuntime } from "../../src/runtime/node.ts";
import type { RunConfig } from "../../src/train/config.ts";
import type { Rollout } from "../../src/train/minibatch.ts";
import { type Parts, prepare } from "../../src/train/prepare.ts";
import { openPrograms, type Programs } from "../../src/train/programs.ts";
import { sampleRollout } from "../../src/train/rollout.ts";
import { initialState } from "../../src/train/train-state.ts";

/** The first rollout of a run, with the programs that made it; `use` sees them before they are released. */
export async function withRollout<Result>(
  config: RunConfig,
  use: (made: { rollout: Rollout; programs: Programs; parts: Parts }) => Promise<Result> | Result,
  given?: Parts,
): Promise<Result> {
  const parts = given ?? (await prepare(config));
  const directory = { path: "not-written-to", checkpoint: undefined, release: () => {} };
  const options = { config, parts, runtime: nodeRuntime({ threads: 1 }), directory };
  const state = await initialState(options);
  const programs = await openPrograms(options, state);
  try {
    return await use({ rollout: await sampleRollout(options, state, programs), programs, parts });
  } finally {
    await programs.release();
  }
}
