import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { fromHub, hubFromEnvironment, hubIdOf, type OpenHub } from "../hub/index.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import { readJsonObject } from "../weights/parse-json.ts";
import type { Cli } from "./cli.ts";
import type { Progress } from "./progress.ts";

/** The hub of the environment; what is loaded from it is shown on stderr. */
export function shownHub({ signal }: Pick<Cli, "signal">, { stage }: Pick<Progress, "stage">): OpenHub {
  let shown = "";
  return () =>
    hubFromEnvironment({
      signal,
      onProgress({ name, received, total }) {
        const percent = Math.floor((100 * received) / total);
        if (shown === `${name} ${percent}`) return; // an event for every piece that comes would be too many lines
        shown = `${name} ${percent}`;
        stage(`loading ${name} (${(total / 1e6).toFixed(1)} MB)`, percent / 100);
      },
      onNotice: (text) => process.stderr.write(`${text}\n`),
    });
}

/** The head of a classifier that each of these rewards asks for. */
const heads = { "style-score": "style", "prompt-score": "animal" } as const;

/** What --reward names: a kind, or an ONNX file or the folder of a classifier, local or of the hub, with the kind that reads it. */
export async function namedReward(text: string, openHub: OpenHub): Promise<{ kind: string; path?: string }> {
  const known = rewardKinds.some(({ kind }) => kind === text);
  const id = known ? undefined : hubIdOf(text);
  if (known || (!id && !existsSync(shippedPath(text)))) return { kind: text }; // an unknown one is refused with the rest
  if (text.endsWith(".onnx")) return { kind: "onnx", path: text };
  const path = id ? await fromHub(await openHub(), id) : shippedPath(text);
  const config = existsSync(join(path, "config.json")) ? await readJsonObject(join(path, "config.json")) : {};
  const own = Object.keys((config.heads as object | null | undefined) ?? {});
  const kind = Object.entries(heads).find(([, head]) => own.includes(head))?.[0];
  if (kind) return { kind, path: text };
  throw new ConfigError(
    `--reward takes a kind (nabla list rewards), an ONNX file, or the folder of a classifier with a head ${Object.values(heads).join(" or ")}, but ${text} is none of them. Other rewards are given in a configuration: reward: { kind: …, path: … }.`,
  );
}
