import { isPixelArt } from "./gallery.ts";
import { type Html, html } from "./html.ts";
import type { Pair, Samples } from "./read-samples.ts";

const COLUMNS = 5;

/**
 * A first look at small pictures: one pair of each of the first prompts, the pretrained model's above the finetuned
 * one's. Hidden from screen readers, because all come again with their texts in the gallery.
 */
export function firstLook({ pairs }: Samples): Html | undefined {
  if (!pairs.every(isPixelArt)) return undefined; // larger ones would double the size of the page
  const seen = new Set<string>();
  const firsts = pairs.filter(({ prompt }) => !seen.has(prompt) && seen.add(prompt));
  const shown = (firsts.length < COLUMNS ? pairs : firsts).slice(0, COLUMNS);
  if (shown.length < COLUMNS) return undefined;
  return html`<div class="look" aria-hidden="true">${row("before", shown)}${row("after", shown)}</div>`;
}

function row(when: "before" | "after", pairs: readonly Pair[]): Html {
  return html`<span>${when}</span>${pairs.map((pair) => html`<img class="${when}" src="${pair[when].source}" width="64" height="64" alt="">`)}`;
}
