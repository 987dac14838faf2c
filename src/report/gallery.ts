import { counted, signed, significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import type { Pair, Samples, Shot } from "./read-samples.ts";

/** Pictures this small are drawn with visible pixels, larger ones bigger and smoothly. */
export const isPixelArt = ({ before, after }: Pair): boolean => Math.max(before.width, after.width) <= 64;

/** The picture pairs by prompt, with what was left out. */
export function gallery({ pairs, listed, broken }: Samples): Html {
  const prompts = new Map<string, Pair[]>();
  for (const pair of pairs) prompts.set(pair.prompt, [...(prompts.get(pair.prompt) ?? []), pair]);
  const large = !pairs.every(isPixelArt);
  const left = [
    listed - broken > pairs.length
      ? `To keep this page small, ${counted(pairs.length, "pair")} of ${counted(listed, "pair")} are shown: the first of every prompt, not the best.`
      : undefined,
    broken > 0 ? `${counted(broken, "pair")} left out, because a picture is missing or damaged.` : undefined,
  ].filter((note) => note !== undefined);
  return html`<p>Each pair starts from the same noise: on the left the pretrained model, on the right the finetuned one, with the reward of each below. ${left.join(" ")}</p>
<div class="${large ? "prompts large" : "prompts"}">${[...prompts].map(([prompt, group], at) => promptGroup(prompt, group, at))}</div>`;
}

function promptGroup(prompt: string, pairs: readonly Pair[], at: number): Html {
  const mean = (of: "before" | "after") => pairs.reduce((sum, pair) => sum + pair[of].reward, 0) / pairs.length;
  return html`<section class="prompt" aria-labelledby="prompt-${at}"><h3 id="prompt-${at}"><bdi>${prompt || "(empty prompt)"}</bdi> <small>mean ${significant(mean("before"))} → ${significant(mean("after"))}</small></h3>
<ul>${pairs.map(
    (pair) =>
      html`<li><figure class="pair">${shot(pair, "before")}${shot(pair, "after")}<figcaption>seed ${pair.seed} <b>${signed(pair.after.reward - pair.before.reward, 2)}</b></figcaption></figure></li>`,
  )}</ul></section>`;
}

function shot(pair: Pair, when: "before" | "after"): Html {
  const { source, width, height, reward }: Shot = pair[when];
  return html`<div class="${when}"><img src="${source}" width="${width}" height="${height}" alt="“${pair.prompt}”, seed ${pair.seed}, ${when} training: reward ${significant(reward)}"><span><span class="when">${when}</span> ${significant(reward)}</span></div>`;
}
