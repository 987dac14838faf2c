// Charts are our own SVG, not a library's: the page is one static file without script, and colours must follow its style sheet.
import { axes, linearDomain, logDomain, type Plot, scaleOf, spansDecades, tenths } from "./axes.ts";
import { significant } from "./format.ts";
import { type Html, html } from "./html.ts";

/** A point of a curve; low and high bound a band around it, label is written beside it. */
export interface Point {
  x: number;
  y: number;
  low?: number;
  high?: number;
  label?: string;
}

export interface Series {
  name: string;
  points: readonly Point[];
  /** Dots on the points: for few of them. */
  markers?: boolean;
}

export interface LineChart {
  xLabel: string;
  yLabel: string;
  series: readonly Series[];
  /** The y axis begins at 0. Otherwise it fits the values, and is logarithmic when they span decades. */
  fromZero?: boolean;
  /** A value to compare with, drawn as a horizontal line. */
  reference?: { label: string; value: number } | undefined;
}

const WIDTH = 460;
const HEIGHT = 270;
const LETTER = 6.6; // mean width of a letter of the 12 px labels
const LABEL_GAP = 14;

/** Series are told apart by colour (a class of the style sheet) and by dash; of 30, no two are alike. */
const COLOURS = 5;
const DASHES = ["none", "7 4", "2 3", "10 3 2 3", "4 2", "12 5"];
export const seriesClass = (index: number): string => `series-${index % COLOURS}`;
export const seriesDash = (index: number): string => DASHES[index % DASHES.length]!;

type Scale = (value: number) => number;

/**
 * The drawing of a line chart, to be put beside its legend. Every series has a point or more, all finite. `id` makes
 * title and summary its text for screen readers.
 */
export function lineChart(id: string, title: string, summary: string, chart: LineChart): Html {
  const { series, reference, fromZero = false } = chart;
  const points = series.flatMap((one) => one.points);
  const values = [...points.map(({ y }) => y), ...(reference ? [reference.value] : [])];
  const log = !fromZero && spansDecades(values);
  const bands = points.flatMap(({ low, high }) => [low ?? Number.NaN, high ?? Number.NaN]);
  const yDomain = log ? logDomain(values, 0.06) : linearDomain([...values, ...bands, ...(fromZero ? [0] : [])], 0.06);
  const names = endLabels(series);
  const plot = plotFor(
    yDomain.ticks.map(({ label }) => label),
    [...names, reference?.label ?? ""],
  );
  const room = series.some(({ markers }) => markers) ? 0.02 : 0;
  const xDomain = linearDomain(
    points.map(({ x }) => x),
    room,
    (plot.right - plot.left) / 70,
  );
  const x = scaleOf(xDomain, plot.left, plot.right);
  const y = scaleOf(yDomain, plot.bottom, plot.top);

  const labels = series.map((one, index) => ({
    className: `end ${seriesClass(index)}`,
    text: names[index]!,
    y: y(one.points.at(-1)!.y),
  }));
  if (reference) labels.push({ className: "note", text: reference.label, y: y(reference.value) });
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title ${id}-summary">
<title id="${id}-title">${title}</title><desc id="${id}-summary">${summary}</desc>
<text x="0" y="12">${chart.yLabel}${log ? ", logarithmic" : ""}</text>
${axes(plot, xDomain, yDomain)}
<text x="${plot.right}" y="${HEIGHT - 2}" text-anchor="end">${chart.xLabel}</text>
${reference && html`<path class="reference" stroke-dasharray="1 4" d="M${plot.left} ${y(reference.value)}H${plot.right}"/>`}
${log ? undefined : series.map((one, index) => band(one.points, index, x, y))}
${series.map((one, index) => curve(one, index, x, y))}
${spread(labels, plot).map(({ className, text, y: at }) => html`<text class="${className}" x="${plot.right + 8}" y="${tenths(at + 4)}">${text}</text>`)}
</svg>`;
}

/** Leaves room for the labels at the left and at the right. */
function plotFor(left: readonly string[], right: readonly string[]): Plot {
  const longest = (texts: readonly string[]) => Math.max(...texts.map((text) => text.length)) * LETTER;
  return {
    left: Math.max(28, longest(left) + 10),
    right: WIDTH - Math.max(14, longest(right) + 12),
    top: 26,
    bottom: HEIGHT - 38,
  };
}

function band(points: readonly Point[], index: number, x: Scale, y: Scale): Html | undefined {
  const bounded = points.filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high));
  if (bounded.length < 2) return undefined;
  const edge = (way: readonly Point[], side: "low" | "high") => way.map((point) => `${x(point.x)} ${y(point[side]!)}`);
  const outline = [...edge(bounded, "high"), ...edge(bounded.toReversed(), "low")].join("L");
  return html`<path class="band ${seriesClass(index)}" d="M${outline}Z"/>`;
}

function curve({ name, points, markers = false }: Series, index: number, x: Scale, y: Scale): Html {
  const line = points.map((point) => `${x(point.x)} ${y(point.y)}`).join("L");
  const rising = points.at(-1)!.y > points[0]!.y;
  const dots = (markers ? points : []).map((point) => {
    const hover = `${name}, ${significant(point.x, 6)}: ${significant(point.y)}`;
    return html`<circle class="dot ${seriesClass(index)}" cx="${x(point.x)}" cy="${y(point.y)}" r="3.5"><title>${hover}</title></circle>`;
  });
  const labels = points.map(({ label, ...point }) => label && pointLabel(label, x(point.x), y(point.y), rising));
  return html`<path class="line ${seriesClass(index)}" stroke-dasharray="${seriesDash(index)}" d="M${line}"/>${dots}${labels}`;
}

/** Towards the middle of the drawing, on the side of the point where the curve does not run. */
function pointLabel(label: string, x: number, y: number, rising: boolean): Html {
  const right = x > WIDTH / 2;
  const above = right === rising;
  return html`<text class="note" x="${tenths(right ? x - 2 : x + 2)}" y="${tenths(above ? y - 10 : y + 19)}" text-anchor="${right ? "end" : "start"}">${label}</text>`;
}

/** At the right end of each curve: its name, or its last value when it is the only curve and bears no other label. */
function endLabels(series: readonly Series[]): string[] {
  const last = series[0]!.points.at(-1)!;
  if (series.length === 1) return [last.label ? "" : significant(last.y)];
  return series.map(({ name }) => (name.length > 18 ? `${name.slice(0, 17)}…` : name));
}

/** Moves labels apart so that they do not cover each other, and keeps them between top and bottom. */
function spread<Label extends { y: number }>(labels: readonly Label[], { top, bottom }: Plot): Label[] {
  const sorted = labels.map((label) => ({ ...label })).sort((a, b) => a.y - b.y);
  let least = top;
  for (const label of sorted) {
    label.y = Math.max(label.y, least);
    least = label.y + LABEL_GAP;
  }
  let most = bottom;
  for (const label of sorted.toReversed()) {
    label.y = Math.min(label.y, most);
    most = label.y - LABEL_GAP;
  }
  return sorted;
}
