import { type Html, html } from "./html.ts";
import { measureText } from "./measures.ts";
import type { Events } from "./read-events.ts";
import type { Summary } from "./read-summary.ts";

/** What to look at, and the definitions of the measures that this page shows. */
export function howToRead(summary: Summary | undefined, { evaluations }: Events): Html {
  const shown = [
    summary?.before?.values,
    summary?.after?.values,
    summary?.exact?.finetuned,
    ...evaluations.map(({ measures }) => measures),
  ];
  const keys = new Set(shown.flatMap((values) => Object.keys(values ?? {})));
  const entries = [...keys].map(measureText).filter(({ definition }) => definition !== undefined);
  return html`<p>${summary?.exact ? EXACT : ALIGNED}</p>
${entries.length > 0 ? html`<dl class="terms">${entries.map(({ name, definition }) => html`<div><dt>${name}</dt><dd>${definition}</dd></div>`)}</dl>` : undefined}`;
}

const ALIGNED =
  "Finetuning should raise the reward and leave the rest of the model as it was. Read reward and diversity together: a high reward with little diversity means that the model has learnt to make one picture well. A prior distance near its floor means that the finetuned model is hard to tell from the pretrained one. Losses are residuals of the training objective; how far they fall says less than what the evaluations show.";

const EXACT =
  "In this world the goal is known exactly: the pretrained law, reweighted by the exponential of the reward. The best result is not the highest reward but the one closest to the target. The exactly tilted sampler shows what the same number of sampling steps can reach; what remains to the target is the error of those steps.";
