import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import * as metrics from "../metrics/index.ts";
import { modelKinds } from "../models/kinds.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import type { Cli } from "./cli.ts";
import { table } from "./table.ts";

interface Kind {
  readonly kind: string;
  readonly summary: string;
  readonly options?: z.ZodType;
}

const groups: Readonly<Record<string, readonly Kind[]>> = {
  models: modelKinds,
  rewards: rewardKinds,
  objectives: objectiveKinds,
  samplers: samplerKinds,
  metrics: Object.values(metrics),
};

/** An option in the words of JSON Schema. */
interface Option {
  type?: string | string[];
  anyOf?: Option[];
  enum?: unknown[];
  default?: unknown;
  description?: string;
}

export function addList({ program }: Cli): void {
  program
    .command("list")
    .summary("what there is to choose from: models, rewards, objectives, samplers, metrics")
    .description("Lists the kinds that a configuration can name. With one group, also the options of each kind.")
    .argument("[group]", `one of ${Object.keys(groups).join(", ")}`)
    .option("--json", "print [{kind, summary, options}] to stdout; of all groups, by group", false)
    .addHelpText(
      "after",
      `
Examples:
  nabla list
  nabla list rewards
  nabla list objectives --json
`,
    )
    .action((group: string | undefined, { json }: { json: boolean }) => {
      const write = (text: string) => process.stdout.write(`${text}\n`);
      const chosen = group === undefined ? undefined : groupOf(group);
      if (json) {
        const described = (kinds: readonly Kind[]) =>
          kinds.map(({ kind, summary, options }) => ({ kind, summary, options: optionsOf(options).properties }));
        const all = () => Object.fromEntries(Object.entries(groups).map(([name, kinds]) => [name, described(kinds)]));
        write(JSON.stringify(chosen ? described(chosen) : all(), null, 2));
      } else if (chosen) write(chosen.map(withOptions).join("\n"));
      else {
        const rows = Object.entries(groups).flatMap(([name, kinds]) => [
          [name],
          ...kinds.map(({ kind, summary }) => [`  ${kind}`, summary]),
        ]);
        write(`${table(rows, { align: "left" })}\n\nnabla list GROUP shows the options.`);
      }
    });
}

function groupOf(name: string): readonly Kind[] {
  const kinds = groups[name];
  if (kinds) return kinds;
  const guess = nearest(name, Object.keys(groups));
  throw new ConfigError(
    `list: unknown group "${name}"${guess ? `; did you mean "${guess}"?` : "."} Known: ${Object.keys(groups).join(", ")}.`,
  );
}

function optionsOf(schema: z.ZodType | undefined): { properties: Record<string, Option>; required: readonly string[] } {
  if (!schema) return { properties: {}, required: [] };
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return { properties: properties as Record<string, Option>, required };
}

/** "a | b" for its values, or its types where it has no list of values. */
const typeOf = ({ enum: values, anyOf, type = "" }: Option): string =>
  (values ?? anyOf?.map(typeOf) ?? [type].flat()).join(" | ");

function withOptions({ kind, summary, options }: Kind): string {
  const { properties, required } = optionsOf(options);
  const rows = Object.entries(properties).map(([name, option]) => [
    `    ${name}`,
    typeOf(option),
    option.default === undefined ? (required.includes(name) ? "required" : "") : `= ${JSON.stringify(option.default)}`,
    option.description ?? "",
  ]);
  return [`${kind}: ${summary}`, ...(rows.length > 0 ? [table(rows, { align: "left" })] : [])].join("\n");
}
