import { leastEss } from "../core/importance.ts";
import { counted, percent, signed, significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import { measureText } from "./measures.ts";
import type { ExactMeasures, Measured, Summary } from "./read-summary.ts";

/** The measures of the pretrained and the finetuned model side by side. */
export function beforeAfterTable(before: Measured, after: Measured): Html {
  const keys = [...new Set([...Object.keys(before.values), ...Object.keys(after.values)])];
  const rows = keys
    .filter((key) => !key.endsWith("Floor"))
    .map((key) => {
      const floor = after.values[`${key}Floor`];
      const from = before.values[key];
      const start =
        from === undefined && floor !== undefined ? html`${significant(floor)} <small>floor</small>` : cell(from);
      return html`<tr>${rowHead(key)}<td>${start}</td><td class="result">${cell(after.values[key])}</td><td>${change(key, before, after)}</td></tr>`;
    });
  return html`<div class="scroll" role="region" aria-label="Measures before and after" tabindex="0"><table class="measures">
<caption><span>Measured on ${sizes(before, after)} The noise is the same before and after, and none of it was used in training.</span></caption>
<thead><tr><th scope="col">Measure</th><th scope="col">Before</th><th scope="col">After</th><th scope="col">Change</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

function sizes(before: Measured, after: Measured): string {
  const size = ({ images, seeds }: Measured) =>
    `${images === undefined ? "an unknown number of samples" : counted(images, "image")}${seeds === undefined ? "" : ` with ${counted(seeds, "seed")}`}`;
  return size(before) === size(after)
    ? `${size(after)}, both times.`
    : `${size(before)} before and ${size(after)} after.`;
}

function change(key: string, before: Measured, after: Measured): Html | undefined {
  const [from, to, floor] = [before.values[key], after.values[key], after.values[`${key}Floor`]];
  if (to === undefined || !Number.isFinite(to)) return undefined;
  if (from === undefined)
    return floor === undefined ? undefined : html`${signed(to - floor)} <small>above floor</small>`;
  const std = before.values[`${key}Std`];
  if (std !== undefined && std > 0)
    return html`${signed(to - from)} <small>= ${signed((to - from) / std, 2)} std</small>`;
  return from > 0
    ? html`${signed(to - from)} <small>= ${to > from ? "+" : ""}${percent(to / from - 1)}</small>`
    : html`${signed(to - from)}`;
}

/** The measures of an exact world beside its references, then the same per prompt. */
export function exactTables({ prompts, ...all }: NonNullable<Summary["exact"]>): Html {
  const each = Object.entries(prompts);
  return html`${exactTable(all, each.length > 0 ? `Means over ${counted(each.length, "prompt")}.` : "")}
${each.map(([prompt, measures]) => html`<details><summary>Prompt <bdi>${prompt}</bdi></summary>${exactTable(measures, `Prompt ${prompt}.`)}</details>`)}`;
}

function exactTable({ pretrained, finetuned, floor, tiltedBy, target }: ExactMeasures, about: string): Html {
  const columns = [
    { name: "Pretrained", values: pretrained },
    { name: "Finetuned", values: finetuned, result: true },
    { name: "Exactly tilted", values: floor },
    { name: "Target", values: target },
  ];
  const keys = [...new Set(columns.flatMap(({ values }) => Object.keys(values)))].filter((key) => key !== "ess");
  const rows = keys.map(
    (key) =>
      html`<tr>${rowHead(key)}${columns.map(({ values, result }) => html`<td${result ? html` class="result"` : undefined}>${cell(values[key])}</td>`)}</tr>`,
  );
  const drawn =
    tiltedBy === "twisted-smc" ? "drawn by twisted sequential Monte Carlo" : "with exact importance weights";
  const enough = floor.ess === undefined || floor.energyDistance !== undefined;
  const rest = enough ? "." : `, fewer than ${leastEss}: its weights have collapsed, and it has no numbers.`;
  const ess = floor.ess === undefined ? "" : ` It rests on ${significant(floor.ess)} effective samples${rest}`;
  return html`<div class="scroll" role="region" aria-label="${`Measures of the exact world. ${about}`.trim()}" tabindex="0"><table class="measures">
<caption><span>${about} “Exactly tilted” is the pretrained sampler ${drawn}: a reference, not a bound.${ess}</span></caption>
<thead><tr><th scope="col">Measure</th>${columns.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

function rowHead(key: string): Html {
  const { name, hint } = measureText(key);
  return html`<th scope="row">${name}${hint && html` <small>${hint}</small>`}</th>`;
}

const cell = (value: number | undefined): string => (value === undefined ? "–" : significant(value));
