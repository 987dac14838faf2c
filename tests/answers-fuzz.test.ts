import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { NablaError } from "../src/core/errors.ts";
import { HubError, HubUnreachable } from "../src/hub/errors.ts";
import { hubOf } from "../src/hub/hub.ts";
import { parseHubId } from "../src/hub/hub-id.ts";
import { listRepo } from "../src/hub/listing.ts";
import { leadsOut } from "../src/hub/repo-path.ts";
import { judgedScore } from "../src/rewards/vlm/answer.ts";
import { fuzz, fuzzTimeout, reads } from "./worlds/fuzz.ts";
import { mutated, mutations } from "./worlds/mutated-bytes.ts";
import { jsonMutations, mutatedJson } from "./worlds/mutated-json.ts";

// Whatever a judge or a hub answers, it is a score or a listing, or an error of ours that quotes next to nothing. See fuzz.ts.

const utf8 = new TextEncoder();
const short = 1000;
const timeout = fuzzTimeout(short);
afterEach(() => vi.unstubAllGlobals());

/** A text whose JSON is changed, or whose bytes are. */
const changed = (text: string): fc.Arbitrary<string> =>
  fc.oneof(
    jsonMutations.map((changes) => mutatedJson(text, changes)),
    mutations.map((changes) => new TextDecoder().decode(changes.reduce(mutated, utf8.encode(text)))),
  );

const completion = JSON.stringify({
  choices: [
    {
      message: { content: "Yes" },
      logprobs: { content: [{ token: "Yes", logprob: -0.1, top_logprobs: [{ token: "No", logprob: -2.3 }] }] },
    },
  ],
});

test(
  "answers of a judge",
  () =>
    fuzz(
      changed(completion),
      (text) =>
        reads(
          () => {
            const score = judgedScore(text, { Yes: 1, No: 0 }, "http://judge");
            if (score !== undefined) expect([score >= 0, score <= 1]).toEqual([true, true]);
          },
          { naming: "http://judge", errors: [NablaError] },
        ),
      { short, least: 0.02 },
    ),
  timeout,
);

const listing = JSON.stringify([
  { type: "directory", path: "unet", size: 0, oid: "0".repeat(40) },
  { type: "file", path: "unet/config.json", size: 12, oid: "a".repeat(40) },
  { type: "file", path: "unet/w.safetensors", size: 99, oid: "b".repeat(40), lfs: { oid: "c".repeat(64), size: 99 } },
]);

test(
  "listings of a hub",
  () => {
    const hub = hubOf({ HF_ENDPOINT: "http://127.0.0.1:1" }, "never-made");
    return fuzz(
      changed(listing),
      (text) => {
        vi.stubGlobal("fetch", async () => new Response(text));
        return reads(
          async () => {
            // A connection is never the reason here, so that such an error would hide one of ours.
            const files = await listRepo(hub, parseHubId("owner/name"), "d".repeat(40)).catch((error: unknown) => {
              expect(error).not.toBeInstanceOf(HubUnreachable);
              throw error;
            });
            for (const { path, size, hash } of files) {
              expect([leadsOut(path), Number.isSafeInteger(size), /^[0-9a-f]+$/.test(hash.hex)]).toEqual([
                false,
                true,
                true,
              ]);
            }
          },
          { errors: [HubError] },
        );
      },
      { short, least: 0.02 },
    );
  },
  timeout,
);
