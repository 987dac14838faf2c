/**
 * The style sheet of a report. Series colours are those of Okabe and Ito, which people with any common colour vision
 * can tell apart, in the shades that stand out from each background by 3:1 or more.
 */
export const style = `
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --raised: #ffffff; --ink: #1c1e22; --soft: #5d626b; --rule: #dedbd2; --faint: #efede6;
  --link: #005f96; --good: #00654a; --good-back: #dff1ea; --costly: #7a4b00; --costly-back: #faecd0;
  --bad: #a03c00; --bad-back: #fbe3d6; --neutral: #4a4f58; --neutral-back: #ebe9e3;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #00805d; --series-3: #b8578f; --series-4: #1c1e22;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "URW Palladio L", P052, Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, Inter, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  --shot: 96px;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --raised: #1b1e24; --ink: #ebe9e4; --soft: #a5abb6; --rule: #343943; --faint: #22262d;
    --link: #7cc4f0; --good: #7fdcbb; --good-back: #12352a; --costly: #f2c25c; --costly-back: #3a2d0d;
    --bad: #ff9e6b; --bad-back: #402012; --neutral: #c3c7ce; --neutral-back: #2a2e36;
    --series-0: #56b4e9; --series-1: #e69f00; --series-2: #2fbf95; --series-3: #cc79a7; --series-4: #ebe9e4;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 var(--sans); color: var(--ink); background: var(--page); -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { max-width: 70rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) clamp(1rem, 4vw, 2.5rem) 3rem; font-variant-numeric: tabular-nums lining-nums; }
p, dd { max-width: 42rem; margin: 0; }
a { color: var(--link); text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--series-0); outline-offset: 2px; border-radius: 2px; }
main:focus { outline: none; }
.quiet { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--raised); }
small { font-size: .8125rem; color: var(--soft); font-weight: 400; }

.brand { font-weight: 600; font-size: .875rem; letter-spacing: .01em; }
.brand [aria-hidden] { color: var(--series-0); font-size: 1.125rem; margin-right: .15em; }
.brand .kind { color: var(--soft); font-weight: 400; margin-left: .5em; }
h1 { font: 400 clamp(2rem, 1.3rem + 3vw, 3.25rem)/1.1 var(--serif); letter-spacing: -.015em; margin: 0 0 1.5rem; max-width: 22ch; text-wrap: balance; overflow-wrap: anywhere; }
.verdict { font: 400 clamp(1.1875rem, 1.05rem + .7vw, 1.5rem)/1.4 var(--serif); max-width: 36em; text-wrap: balance; }
.verdict strong { display: table; font: 600 .8125rem/1 var(--sans); padding: .45em .8em; border-radius: 99px; margin-bottom: .8rem; }
.good strong { color: var(--good); background: var(--good-back); }
.costly strong { color: var(--costly); background: var(--costly-back); }
.bad strong { color: var(--bad); background: var(--bad-back); }
.neutral strong { color: var(--neutral); background: var(--neutral-back); }
.opening { display: flex; flex-wrap: wrap; align-items: end; justify-content: space-between; gap: 2rem 3rem; margin-top: 2.25rem; }
.opening > :first-child { flex: 1 1 26rem; }
.look { display: grid; grid-template-columns: repeat(5, 64px); gap: 4px; font-size: .75rem; color: var(--soft); }
.look span { grid-column: 1 / -1; }
.look img { display: block; width: 100%; height: auto; border-radius: 5px; image-rendering: pixelated; background: var(--faint); }
.facts { display: flex; flex-wrap: wrap; gap: .9rem 2.5rem; margin: 2.25rem 0 0; padding: 1rem 0; border-block: 1px solid var(--rule); }
.facts dt { font-size: .8125rem; color: var(--soft); }
.facts dd { font-weight: 500; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; list-style: none; margin: .9rem 0 0; padding: 0; font-size: .9375rem; }
nav a { display: inline-block; padding: .25rem 0; text-decoration-color: var(--rule); }

section { margin-top: clamp(3rem, 7vw, 4.75rem); }
h2 { font: 400 clamp(1.5rem, 1.3rem + 1vw, 2rem)/1.2 var(--serif); letter-spacing: -.01em; margin: 0 0 1.25rem; text-wrap: balance; }
h3 { font-size: 1rem; line-height: 1.4; font-weight: 600; margin: 0; }
.scroll { overflow-x: auto; }

table { border-collapse: collapse; }
th, td { text-align: right; padding: .4rem 0 .4rem 1.25rem; vertical-align: baseline; font-weight: 400; white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; }
thead th { font-size: .8125rem; color: var(--soft); border-bottom: 1px solid var(--ink); vertical-align: bottom; }
caption { caption-side: bottom; text-align: left; font-size: .875rem; line-height: 1.5; color: var(--soft); padding-top: .8rem; white-space: normal; }
caption span { display: block; position: sticky; left: 0; max-width: min(42rem, 100vw - 2rem); }
.measures { width: 100%; max-width: 52rem; margin-bottom: 1.5rem; }
.measures tbody tr { border-bottom: 1px solid var(--rule); }
.measures tbody th, .measures tbody td { padding-block: .7rem; }
.measures tbody th { font-weight: 500; white-space: normal; min-width: 8rem; }
.measures tbody th small { display: inline-block; margin-left: .35em; }
.measures .result { font-weight: 650; }
.data { font-size: .875rem; }
.data thead th { border-bottom-color: var(--rule); }
.data th, .data td { padding-block: .15rem; }

.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 3rem 3.5rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 2rem; }
.chart { margin: 0; min-width: 0; }
.charts .chart { max-width: 36rem; }
.chart p { font-size: .875rem; color: var(--soft); text-wrap: pretty; }
.chart > svg { display: block; width: 100%; height: auto; margin: .75rem 0 .5rem; overflow: visible; }
svg text { font: 12px/1 var(--sans); fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .band { opacity: .14; stroke: none; }
svg .dot { stroke: var(--page); stroke-width: 1.25; }
svg .reference { stroke: var(--ink); stroke-width: 1.75; stroke-linecap: round; }
svg .note { fill: var(--ink); }
svg text.end { font-weight: 600; }
svg .points { fill: none; stroke-width: 2.6; stroke-linecap: round; opacity: .55; }
.line.series-0, .points.series-0 { stroke: var(--series-0); }
.line.series-1, .points.series-1 { stroke: var(--series-1); }
.line.series-2, .points.series-2 { stroke: var(--series-2); }
.line.series-3, .points.series-3 { stroke: var(--series-3); }
.line.series-4, .points.series-4 { stroke: var(--series-4); }
.band.series-0, .dot.series-0 { fill: var(--series-0); }
text.series-0 { fill: color-mix(in srgb, var(--series-0) 72%, var(--ink)); }
.band.series-1, .dot.series-1 { fill: var(--series-1); }
text.series-1 { fill: color-mix(in srgb, var(--series-1) 72%, var(--ink)); }
.band.series-2, .dot.series-2 { fill: var(--series-2); }
text.series-2 { fill: color-mix(in srgb, var(--series-2) 72%, var(--ink)); }
.band.series-3, .dot.series-3 { fill: var(--series-3); }
text.series-3 { fill: color-mix(in srgb, var(--series-3) 72%, var(--ink)); }
.band.series-4, .dot.series-4 { fill: var(--series-4); }
text.series-4 { fill: color-mix(in srgb, var(--series-4) 72%, var(--ink)); }
.legend { width: 100%; font-size: .8125rem; }
.legend th, .legend td { padding: .2rem 0 .2rem .75rem; }
.legend th:first-child { padding-left: 0; }
.legend thead th { border-bottom-color: var(--rule); }
.legend tbody th { white-space: normal; overflow-wrap: anywhere; }
.legend small { font-size: .75rem; }
.swatch { margin-right: .5em; vertical-align: middle; overflow: visible; }
details { margin-top: .5rem; font-size: .875rem; }
summary { cursor: pointer; color: var(--link); padding: .25rem 0; }
summary small { margin-left: .6em; }
details .scroll { max-height: 18rem; overflow: auto; padding-right: 1rem; }

.prompts { margin-top: 2rem; }
.prompt { margin-top: 1.75rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
.prompt h3 { overflow-wrap: anywhere; }
.prompt h3 small { margin-left: .4em; white-space: nowrap; }
.prompt ul { list-style: none; display: flex; flex-wrap: wrap; gap: 1.25rem 1rem; margin: .75rem 0 0; padding: 0; }
.large { --shot: 176px; }
.pair { display: grid; grid-template-columns: repeat(2, var(--shot)); gap: .4rem 3px; margin: 0; font-size: .8125rem; line-height: 1.3; }
.pair img { display: block; width: var(--shot); height: auto; margin-bottom: .35rem; background: var(--faint); image-rendering: pixelated; }
.large img { image-rendering: auto; }
.pair .before img { border-radius: 6px 0 0 6px; }
.pair .after img { border-radius: 0 6px 6px 0; }
.pair .when { color: var(--soft); }
.pair .after { font-weight: 600; }
.pair .after .when { font-weight: 400; }
.pair figcaption { grid-column: 1 / -1; color: var(--soft); font-size: .75rem; }
.pair figcaption b { font-weight: 500; margin-left: .4em; }

pre { margin: 1.25rem 0 0; padding: 1.1rem 1.25rem; background: var(--raised); border: 1px solid var(--rule); border-radius: 8px; font: .8125rem/1.6 var(--mono); tab-size: 2; }
.terms { display: grid; gap: 1.1rem; margin: 2rem 0 0; }
.terms div { display: grid; grid-template-columns: 11rem 1fr; gap: .25rem 1.5rem; }
.terms dt { font-weight: 600; }
footer { margin-top: 5rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: .8125rem; color: var(--soft); }

@media (max-width: 40rem) {
  :root { --shot: 80px; }
  .large { --shot: 44vw; }
  .facts { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem 1rem; }
  th, td { padding-left: .75rem; }
  .measures { font-size: .9375rem; }
  .measures tbody th { min-width: 5rem; }
  .measures tbody th small, .measures td small { display: block; margin-left: 0; }
  .legend td small { display: block; }
  .prompt ul { gap: 1rem; justify-content: space-between; }
  .terms div { grid-template-columns: 1fr; }
}
@media (forced-colors: active) {
  svg .line, svg .points, svg .band, svg .dot { forced-color-adjust: none; }
  .verdict strong { border: 1px solid; }
}
@media print {
  @page { margin: 16mm; }
  html { font-size: 10pt; background: none; }
  body { max-width: none; padding: 0; }
  nav, .skip, details { display: none; }
  section { margin-top: 10mm; }
  h2, h3 { break-after: avoid; }
  .chart, .pair, tr, .terms div { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; gap: 8mm; }
  .panels { grid-template-columns: repeat(3, 1fr); }
  section > p { break-after: avoid; }
  .legend { font-size: 7.5pt; }
  .legend td small { display: block; }
  .scroll { overflow: visible; }
  pre { white-space: pre-wrap; border-color: #999; }
  :root { --shot: 20mm; }
}
`;
