import { counted, grouped, significant } from "./format.ts";
import { type Html, html } from "./html.ts";
import { type LineChart, lineChart, type Point, type Series, seriesClass, seriesDash } from "./line-chart.ts";

/** A line chart with what belongs to it on the page. Points that are not finite are left out, and counted. */
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
  const finite = figure.series.map((one) => ({ ...one, points: one.points.filter(({ y }) => Number.isFinite(y)) }));
  const series = finite.filter(({ points }) => points.length > 0);
  const drawn = series.map((one) => ({ ...one, points: thinned(one.points) }));
  const group = Math.max(...series.map(({ points }) => Math.ceil(points.length / MAX_POINTS)));
  const lost = figure.series.reduce((sum, { points }) => sum + points.filter(({ y }) => !Number.isFinite(y)).length, 0);
  const notes = [
    figure.note,
    group > 1 ? `Each point is the mean of up to ${group} updates.` : undefined,
    lost > 0 ? `${counted(lost, "value")} not finite and left out.` : undefined,
  ].filter((note) => note !== undefined);
  const summary = series.map(({ name, points }) => sentence(name, points, figure.xLabel)).join(" ");
  return html`<figure class="chart" aria-labelledby="${figure.id}">
<figcaption><h3 id="${figure.id}">${figure.title}</h3>${notes.length > 0 ? html`<p>${notes.join(" ")}</p>` : undefined}</figcaption>
${lineChart(figure.id, figure.title, summary, { ...figure, series: drawn })}
${legend(figure, series)}
${dataTable(figure, drawn)}
</figure>`;
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

/** Means of groups of neighbouring points, so that at most MAX_POINTS stay. */
function thinned(points: readonly Point[]): Point[] {
  const group = Math.ceil(points.length / MAX_POINTS);
  if (group <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / group) }, (_, k) => {
    const part = points.slice(k * group, (k + 1) * group);
    const mean = (of: (point: Point) => number | undefined) =>
      part.reduce((sum, point) => sum + (of(point) ?? Number.NaN), 0) / part.length;
    return {
      x: Math.round(mean(({ x }) => x)),
      y: mean(({ y }) => y),
      low: mean(({ low }) => low),
      high: mean(({ high }) => high),
    };
  });
}
