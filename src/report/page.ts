import { createHash } from "node:crypto";
import { stringify } from "yaml";
import { curveFigure } from "./curve-figure.ts";
import { curves } from "./curves.ts";
import { runFacts, runTitle } from "./facts.ts";
import { firstLook } from "./first-look.ts";
import { counted } from "./format.ts";
import { gallery } from "./gallery.ts";
import { howToRead } from "./how-to-read.ts";
import { Html, html } from "./html.ts";
import type { Run } from "./read-run.ts";
import { scatterPlots } from "./scatter.ts";
import { style } from "./style.ts";
import { beforeAfterTable, exactTables } from "./tables.ts";
import { verdict } from "./verdict.ts";

// Nothing may load or run: pictures are data, and the one style sheet is known by its hash.
const POLICY = `default-src 'none'; img-src data:; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'`;

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M3 5h26L16 29z" fill="#0072b2"/></svg>`;

interface Section {
  id: string;
  title: string;
  body: Html | undefined;
}

/** The whole page of a run. */
export function page(run: Run): string {
  const title = runTitle(run);
  const { outcome, label, sentence } = verdict(run.summary);
  const sections = sectionsOf(run).filter(({ body }) => body !== undefined);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Nablaflow">
<title>${title} – ${run.name}</title>
<link rel="icon" href="data:image/svg+xml;base64,${Buffer.from(ICON).toString("base64")}">
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<p class="brand"><span aria-hidden="true">∇</span> Nablaflow <span class="kind">run report</span></p>
<div class="opening"><div><h1>${title}</h1>
<p class="verdict ${outcome}"><strong>${label}</strong> ${sentence}</p></div>
${firstLook(run.samples)}</div>
<dl class="facts">${runFacts(run).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<nav aria-label="Sections"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
</header>
<main id="main" tabindex="-1">
${sections.map(
  ({ id, title, body }) => html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>
${body}</section>
`,
)}</main>
<footer><p>Made by Nablaflow from the files of the run. This page loads nothing and runs no script.${unreadable(run)}</p></footer>
</body>
</html>
`.text;
}

function sectionsOf({ config, events, summary, samples }: Run): Section[] {
  const { before, after, exact } = summary ?? {};
  const figures = curves(events, after?.values.priorDistanceFloor);
  const compared = before && after ? beforeAfterTable(before, after) : undefined;
  const tables = exact ? html`${exactTables(exact)}${compared}` : compared;
  return [
    { id: "numbers", title: "Before and after", body: tables },
    { id: "points", title: "Points", body: samples.points && scatterPlots(samples.points) },
    {
      id: "curves",
      title: "Training curves",
      body: figures.length > 0 ? html`<div class="charts">${figures.map(curveFigure)}</div>` : undefined,
    },
    { id: "pictures", title: "Same prompt, same noise", body: samples.listed > 0 ? gallery(samples) : undefined },
    { id: "configuration", title: "Configuration", body: config && configuration(config) },
    { id: "reading", title: "How to read this", body: howToRead(summary, events) },
  ];
}

function configuration(config: Record<string, unknown>): Html {
  return html`<p>Everything the run was given, with every default filled in. Saved as a YAML file, it starts the same run again.</p>
<pre class="scroll" role="region" aria-label="Configuration as YAML" tabindex="0"><code>${stringify(config)}</code></pre>`;
}

const unreadable = ({ events }: Run): string =>
  events.unreadable > 0 ? ` ${counted(events.unreadable, "line")} of events.jsonl could not be read.` : "";
