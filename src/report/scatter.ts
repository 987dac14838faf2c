import { counted, significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import { extent, seriesClass } from "./line-chart.ts";
import type { Points, Samples } from "./read-samples.ts";
import { linearTicks } from "./ticks.ts";

const SIZE = 300;
const PLOT = { left: 36, right: 292, top: 8, bottom: 264 }; // a square
const MAX_POINTS = 2000;

/** The points of a two-dimensional world side by side, on the same axes: before, after and the exact target. */
export function scatterPlots({ before, after, target }: NonNullable<Samples["points"]>): Html {
  const panels = [
    { id: "points-before", title: "Before", points: before },
    { id: "points-after", title: "After", points: after },
    ...(target ? [{ id: "points-target", title: "Exact target", points: target }] : []),
  ].filter(({ points }) => points.length > 0);
  const domain = square(panels.flatMap(({ points }) => points));
  return html`<div class="panels">${panels.map(({ id, title, points }, index) => {
    const shown = points.slice(0, MAX_POINTS);
    const summary = describe(points);
    return html`<figure class="chart" aria-labelledby="${id}"><figcaption><h3 id="${id}">${title}</h3><p>${summary}${shown.length < points.length ? ` The first ${counted(shown.length, "point")} are drawn.` : undefined}</p></figcaption>
${plot(id, `${title}: points in the plane`, summary, shown, domain, index)}</figure>`;
  })}</div>`;
}

function plot(
  id: string,
  title: string,
  summary: string,
  points: Points,
  [low, high]: [number, number],
  index: number,
): Html {
  const across = (value: number) => (value - low) / (high - low);
  const x = (value: number) => round(PLOT.left + across(value) * (PLOT.right - PLOT.left));
  const y = (value: number) => round(PLOT.bottom - across(value) * (PLOT.bottom - PLOT.top));
  const ticks = linearTicks(low, high, 4);
  // a zero-length stroke with round ends is a dot: one path for all points keeps the page small
  const dots = points.map((point) => `M${x(point[0])} ${y(point[1])}h0`).join("");
  return html`<svg viewBox="0 0 ${SIZE} ${SIZE}" role="img" aria-labelledby="${id}-title ${id}-summary"><title id="${id}-title">${title}</title><desc id="${id}-summary">${summary}</desc>
${ticks.map(({ value, label }) => html`<path class="grid" d="M${x(value)} ${PLOT.top}V${PLOT.bottom}M${PLOT.left} ${y(value)}H${PLOT.right}"/><text x="${x(value)}" y="${PLOT.bottom + 18}" text-anchor="middle">${label}</text><text x="${PLOT.left - 6}" y="${round(y(value) + 4)}" text-anchor="end">${label}</text>`)}
<path class="points ${seriesClass(index)}" d="${dots}"/></svg>`;
}

function describe(points: Points): string {
  const [x, y] = [0, 1].map((axis) => meanAndStd(points.map((point) => point[axis]!)));
  return `${counted(points.length, "point")}, mean (${significant(x!.mean, 2)}, ${significant(y!.mean, 2)}), standard deviation (${significant(x!.std, 2)}, ${significant(y!.std, 2)}).`;
}

function meanAndStd(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

/** One range for both axes that holds every point. */
function square(points: Points): [number, number] {
  const [low, high] = extent(points.flat());
  const room = (high - low || 1) * 0.05;
  return [low - room, high + room];
}

const round = (value: number): number => Math.round(value * 10) / 10;
