// Charts are our own SVG, not a library's: the page is one static file without script, and colours must follow its style sheet.
import { significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import { linearTicks, logTicks, type Tick } from "./ticks.ts";

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
  /** A value to compare with, drawn as a horizontal line. */
  reference?: { label: string; value: number } | undefined;
}

const WIDTH = 460;
const HEIGHT = 270;
const LETTER = 6.4; // mean width of a letter of the 12 px labels
const LABEL_GAP = 14;

/** Series are told apart by colour (a class of the style sheet) and by dash; 30 have no two alike. */
const COLOURS = 5;
const DASHES = ["none", "7 4", "2 3", "10 3 2 3", "4 2", "12 5"];
export const seriesClass = (index: number): string => `series-${index % COLOURS}`;
export const seriesDash = (index: number): string => DASHES[index % DASHES.length]!;

/** Whether values span two decades or more, all above zero: then the axis is logarithmic. */
export function spansDecades(values: readonly number[]): boolean {
  const [low, high] = extent(values);
  return low > 0 && high / low >= 100;
}

/** The picture of a line chart, to be put beside its legend. `id` and `summary` make its text for screen readers. */
export function lineChart(id: string, title: string, summary: string, chart: LineChart): Html {
  const { series, reference } = chart;
  const all = series.flatMap(({ points }) => points);
  const log = spansDecades(all.map(({ y }) => y));
  const shown = all.flatMap(({ y, low = y, high = y }) => (log ? [y] : [y, low, high]));
  const [low, high] = padded(
    extent([...shown, ...(reference && (!log || reference.value > 0) ? [reference.value] : [])]),
    log,
  );
  const [first, last] = padded(extent(all.map(({ x }) => x)), false, 0);
  const yTicks = log ? logTicks(low, high) : linearTicks(low, high);

  const names = endLabels(series);
  const longest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => text.length)) * LETTER;
  const plot = {
    left: Math.max(30, longest(yTicks.map(({ label }) => label)) + 12),
    right: WIDTH - Math.max(14, longest([...names, reference?.label ?? ""]) + 12),
    top: 28,
    bottom: HEIGHT - 38,
  };
  const scale = log ? Math.log : (value: number) => value;
  const x = (value: number) => round(plot.left + ((value - first) / (last - first)) * (plot.right - plot.left));
  const y = (value: number) =>
    round(plot.bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (plot.bottom - plot.top));

  const xTicks = linearTicks(first, last, (plot.right - plot.left) / 70).filter(({ value }) => value >= first);
  const ends = series.map(({ points }, index) => ({ index, text: names[index]!, y: y(points.at(-1)!.y) }));
  const referenceLabel =
    reference && !(log && reference.value <= 0)
      ? { index: -1, text: reference.label, y: y(reference.value) }
      : undefined;
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title ${id}-summary">
<title id="${id}-title">${title}</title><desc id="${id}-summary">${summary}</desc>
<text class="unit" x="${plot.left - 6}" y="14" text-anchor="start">${chart.yLabel}${log ? ", logarithmic" : ""}</text>
${yTicks.map((tick) => yTick(tick, y(tick.value), plot))}
${xTicks.map((tick) => xTick(tick, x(tick.value), plot.bottom))}
<path class="axis" d="M${plot.left} ${plot.bottom}H${plot.right}"/>
<text class="unit" x="${plot.right}" y="${HEIGHT - 4}" text-anchor="end">${chart.xLabel}</text>
${referenceLabel && html`<path class="reference" stroke-dasharray="1 4" d="M${plot.left} ${referenceLabel.y}H${plot.right}"/>`}
${log ? undefined : series.map(({ points }, index) => band(points, index, x, y))}
${series.map((one, index) => curve(one, index, x, y))}
${spread([...ends, ...(referenceLabel ? [referenceLabel] : [])], plot.top, plot.bottom).map(
  ({ index, text, y: at }) =>
    html`<text class="${index < 0 ? "reference-label" : `end ${seriesClass(index)}`}" x="${plot.right + 8}" y="${round(at + 4)}">${text}</text>`,
)}
</svg>`;
}

type Scale = (value: number) => number;
interface Plot {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function yTick({ label }: Tick, y: number, { left, right }: Plot): Html {
  return html`<path class="grid" d="M${left} ${y}H${right}"/><text x="${left - 6}" y="${round(y + 4)}" text-anchor="end">${label}</text>`;
}

function xTick({ label }: Tick, x: number, bottom: number): Html {
  return html`<path class="axis" d="M${x} ${bottom}v4"/><text x="${x}" y="${bottom + 18}" text-anchor="middle">${label}</text>`;
}

function band(points: readonly Point[], index: number, x: Scale, y: Scale): Html | undefined {
  const bounded = points.filter((point) => Number.isFinite(point.low) && Number.isFinite(point.high));
  if (bounded.length < 2) return undefined;
  const edge = (way: readonly Point[], side: "low" | "high") => way.map((point) => `${x(point.x)} ${y(point[side]!)}`);
  const outline = [...edge(bounded, "high"), ...edge(bounded.toReversed(), "low")].join("L");
  return html`<path class="band ${seriesClass(index)}" d="M${outline}Z"/>`;
}

function curve({ name, points, markers }: Series, index: number, x: Scale, y: Scale): Html {
  const line = points.map((point) => `${x(point.x)} ${y(point.y)}`).join("L");
  const dots = points.map(
    (point) =>
      html`<circle class="dot ${seriesClass(index)}" cx="${x(point.x)}" cy="${y(point.y)}" r="3.5"><title>${name}, ${significant(point.x, 6)}: ${significant(point.y)}</title></circle>`,
  );
  const labels = points.flatMap((point) =>
    point.label ? [html`<text class="note" x="${x(point.x) + 7}" y="${y(point.y) - 7}">${point.label}</text>`] : [],
  );
  return html`<path class="line ${seriesClass(index)}" stroke-dasharray="${seriesDash(index)}" d="M${line}"/>${markers ? dots : undefined}${labels}`;
}

/** What stands at the right end of each curve: its name, or its last value when there is one curve only. */
function endLabels(series: readonly Series[]): string[] {
  if (series.length === 1) return [significant(series[0]!.points.at(-1)!.y)];
  return series.map(({ name }) => (name.length > 18 ? `${name.slice(0, 17)}…` : name));
}

/** Moves labels apart so that they do not cover each other, and keeps them between top and bottom. */
function spread<Label extends { y: number }>(labels: readonly Label[], top: number, bottom: number): Label[] {
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

export function extent(values: readonly number[]): [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

/** Room around the values: a share of their range, also on a logarithmic axis; a single value gets a range. */
function padded([low, high]: [number, number], log: boolean, share = 0.06): [number, number] {
  if (log) return [low / (high / low) ** share, high * (high / low) ** share];
  if (low === high) return [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  return [low - (high - low) * share, high + (high - low) * share];
}

const round = (value: number): number => Math.round(value * 10) / 10;
