import { counted, grouped, significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import { type LineChart, lineChart, type Point, type Series, seriesClass, seriesDash } from "./line-chart.ts";

/** A line chart with what belongs to it on the page. Every series has finite points; others are left out and counted. */
export interface Figure extends LineChart {
  id: string;
  title: string;
  /** One sentence below the title. */
  note?: string;
}

/** Points a curve is drawn with; more are averaged in groups of neighbours. */
const MAX_POINTS = 300;
const MAX_ROWS = 60;

/** Title, chart, a legend that also tells start, end and extremes of every curve, and the numbers behind it. */
export function curveFigure(figure: Figure): Html {
  const { id, title, xLabel } = figure;
  const series = figure.series.map((one) => ({ ...one, points: one.points.filter(isFinitePoint) }));
  const drawn = figure.series.map((one) => ({ ...one, points: thinned(one.points) }));
  const summary = series.map(({ name, points }) => sentence(name, points, xLabel)).join(" ");
  const about = [figure.note, ...notes(figure)].filter((note) => note !== undefined).join(" ");
  return html`<figure class="chart" aria-labelledby="${id}">
<figcaption><h3 id="${id}">${title}</h3>${about ? html`<p>${about}</p>` : undefined}</figcaption>
${lineChart(id, title, summary, { ...figure, series: drawn })}
${legend(figure, series)}
${dataTable(figure, drawn)}
</figure>`;
}

const isFinitePoint = ({ y }: Point): boolean => Number.isFinite(y);

/** What drawing has changed. */
function notes({ series }: Figure): string[] {
  const largest = Math.max(...series.map(({ points }) => groupSize(points)));
  const lost = series.reduce((sum, { points }) => sum + points.length - points.filter(isFinitePoint).length, 0);
  return [
    ...(largest > 1 ? [`Each point is the mean of up to ${largest} neighbouring values.`] : []),
    ...(lost > 0 ? [`Left out: ${counted(lost, "value")} not finite.`] : []),
  ];
}

/** Where a curve starts, ends, and is lowest and highest. */
interface Extremes {
  start: Point;
  end: Point;
  lowest: Point;
  highest: Point;
}

function extremes(points: readonly Point[]): Extremes {
  const [start, end] = [points[0]!, points.at(-1)!];
  const lowest = points.reduce((least, point) => (point.y < least.y ? point : least), start);
  const highest = points.reduce((most, point) => (point.y > most.y ? point : most), start);
  return { start, end, lowest, highest };
}

function sentence(name: string, points: readonly Point[], xLabel: string): string {
  const { start, end, lowest, highest } = extremes(points);
  const place = ({ x, y }: Point) => `${significant(y)} (${xLabel} ${placeOnX(x)})`;
  return `${name}: starts at ${place(start)}, ends at ${place(end)}; lowest ${place(lowest)}, highest ${place(highest)}.`;
}

/** A place on the x axis: updates whole, other measures to three digits. */
const placeOnX = (x: number): string => (Number.isInteger(x) ? grouped(x) : significant(x));

function legend({ title, xLabel }: Figure, series: readonly Series[]): Html {
  const at = ({ x, y }: Point) => html`<td>${significant(y)} <small>at ${placeOnX(x)}</small></td>`;
  const rows = series.map(({ name, points, markers }, index) => {
    const { start, end, lowest, highest } = extremes(points);
    return html`<tr><th scope="row">${swatch(index, markers)}${name}</th><td>${significant(start.y)}</td><td>${significant(end.y)}</td>${at(lowest)}${at(highest)}</tr>`;
  });
  return html`<table class="legend"><caption class="quiet">${title}: start, end and extremes, with the ${xLabel} where they are</caption>
<thead><tr><th scope="col">Curve</th><th scope="col">Start</th><th scope="col">End</th><th scope="col">Lowest</th><th scope="col">Highest</th></tr></thead>
<tbody>${rows}</tbody></table>`;
}

function swatch(index: number, markers = false): Html {
  return html`<svg class="swatch" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true"><path class="line ${seriesClass(index)}" stroke-dasharray="${seriesDash(index)}" d="M0 5h30"/>${markers ? html`<circle class="dot ${seriesClass(index)}" cx="15" cy="5" r="3.5"/>` : undefined}</svg>`;
}

/** The numbers behind a chart; with many, evenly chosen rows from first to last. */
function dataTable({ title, xLabel }: Figure, series: readonly Series[]): Html {
  const places = [...new Set(series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const rows = evenly(places, MAX_ROWS);
  const columns = series.map(({ points }) => new Map(points.map(({ x, y }) => [x, y])));
  const cell = (value: number | undefined) => html`<td>${value === undefined ? "–" : significant(value, 4)}</td>`;
  const shown =
    rows.length < places.length ? `${rows.length} of ${counted(places.length, "row")}` : counted(rows.length, "row");
  return html`<details><summary>Numbers <span class="quiet">behind ${title}</span><small>${shown}</small></summary>
<div class="scroll" role="region" aria-label="${title}, numbers" tabindex="0"><table class="data"><caption class="quiet">${title} by ${xLabel}</caption>
<thead><tr><th scope="col">${xLabel}</th>${series.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${rows.map((x) => html`<tr><th scope="row">${placeOnX(x)}</th>${columns.map((values) => cell(values.get(x)))}</tr>`)}</tbody></table></div></details>`;
}

function evenly<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, k) => items[Math.round((k * (items.length - 1)) / (count - 1))]!);
}

const groupSize = (points: readonly Point[]): number => Math.ceil(points.length / MAX_POINTS);

/** Means over groups of neighbouring points, so that at most MAX_POINTS stay, all finite. */
function thinned(points: readonly Point[]): Point[] {
  const group = groupSize(points);
  if (group <= 1) return points.filter(isFinitePoint);
  return Array.from({ length: Math.ceil(points.length / group) }, (_, k) => {
    const whole = points.slice(k * group, (k + 1) * group);
    const finite = whole.filter(isFinitePoint);
    const [x, y] = [Math.round(mean(whole.map((point) => point.x))), mean(finite.map((point) => point.y))];
    const [low, high] = (["low", "high"] as const).map((side) =>
      mean(finite.map((point) => point[side] ?? Number.NaN)),
    );
    return { x, y, low: low!, high: high! };
  }).filter(isFinitePoint);
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
