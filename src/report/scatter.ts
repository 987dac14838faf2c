import { axes, type Domain, linearDomain, scaleOf } from "./axes.ts";
import { counted, significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import { seriesClass } from "./line-chart.ts";
import type { Points, Samples } from "./read-samples.ts";

const SIZE = 300;
const PLOT = { left: 32, right: 296, top: 6, bottom: 270 }; // a square
const MAX_POINTS = 2000;

interface Panel {
  id: string;
  title: string;
  points: Points;
}

/** The points of a two-dimensional world side by side, on the same axes: before, after and the exact target. */
export function scatterPlots({ before, after, target = [] }: NonNullable<Samples["points"]>): Html {
  const panels: Panel[] = [
    { id: "points-before", title: "Before", points: before },
    { id: "points-after", title: "After", points: after },
    { id: "points-target", title: "Exact target", points: target },
  ];
  const filled = panels.filter(({ points }) => points.length > 0);
  const domain = linearDomain(
    filled.flatMap(({ points }) => points.flat()),
    0.04,
    4,
  );
  return html`<div class="panels">${filled.map((panel, index) => figure(panel, index, domain))}</div>`;
}

function figure({ id, title, points }: Panel, index: number, domain: Domain): Html {
  const summary = describe(points);
  const shown = points.slice(0, MAX_POINTS);
  const note = shown.length < points.length ? ` The first ${counted(shown.length, "point")} are drawn.` : undefined;
  const x = scaleOf(domain, PLOT.left, PLOT.right);
  const y = scaleOf(domain, PLOT.bottom, PLOT.top);
  // a zero-length stroke with round ends is a dot: one path for all points keeps the page small
  const dots = shown.map((point) => `M${x(point[0])} ${y(point[1])}h0`).join("");
  return html`<figure class="chart" aria-labelledby="${id}"><figcaption><h3 id="${id}">${title}</h3></figcaption>
<svg viewBox="0 0 ${SIZE} ${SIZE}" role="img" aria-labelledby="${id}-title ${id}-summary"><title id="${id}-title">${title}: points in the plane</title><desc id="${id}-summary">${summary}</desc>
${axes(PLOT, domain, domain)}
<path class="points ${seriesClass(index)}" d="${dots}"/></svg>
<p>${summary}${note}</p></figure>`;
}

function describe(points: Points): string {
  const parts = [0, 1].map((axis) => meanAndStd(points.map((point) => point[axis]!)));
  const both = (of: "mean" | "std") => `(${parts.map((part) => significant(part[of], 2)).join(", ")})`;
  return `${counted(points.length, "point")}, mean ${both("mean")}, standard deviation ${both("std")}.`;
}

function meanAndStd(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}
