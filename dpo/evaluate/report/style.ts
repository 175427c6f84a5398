/** The style sheet of a report, for light and dark colour schemes. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #23211e; --faint: #6f6a63; --line: #e4e0d9; --card: #fff;
  --series0: #8a8378; --series1: #2f6fb3; --series2: #c2622d; --series3: #3d8a5f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #191816; --ink: #e9e6e0; --faint: #a39d93; --line: #35322e; --card: #211f1d;
    --series0: #a8a196; --series1: #7ab2ee; --series2: #eb9a6a; --series3: #79c79a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 3rem 1.25rem 5rem; max-width: 66rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif;
}
h1 { margin: 0 0 .4rem; font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; text-wrap: balance; }
h2 { margin: 3rem 0 .9rem; font-size: 1.15rem; font-weight: 650; }
.summary { margin: 0; max-width: 44rem; color: var(--faint); font-size: 1.08rem; text-wrap: pretty; }
.note { color: var(--faint); font-size: .875rem; }
p.note { margin: -.5rem 0 1rem; max-width: 44rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: inherit; }
thead th { padding: 0 1rem .5rem 0; color: var(--faint); font-size: .875rem; border-bottom: 1px solid var(--line); }
tbody th, tbody td { padding: .8rem 1rem .8rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
tbody th { min-width: 16rem; }
.name { display: block; font-weight: 600; }
th .note { display: block; max-width: 30rem; line-height: 1.45; }
abbr { text-decoration: none; color: var(--faint); cursor: help; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.value { display: block; font-weight: 600; }
.interval { display: block; color: var(--faint); font-size: .8125rem; }
.bars { padding-right: 0; width: 120px; }
.bars svg { display: block; margin-top: .2rem; }
.bars line { stroke-width: 2; stroke-linecap: round; opacity: .55; }
.series0 { stroke: var(--series0); fill: var(--series0); } .series1 { stroke: var(--series1); fill: var(--series1); }
.series2 { stroke: var(--series2); fill: var(--series2); } .series3 { stroke: var(--series3); fill: var(--series3); }
.bars circle { stroke: none; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); gap: 1.25rem; }
figure { margin: 0; }
.curve { min-width: 0; padding: 1rem 1rem .5rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
.curve .note { display: block; line-height: 1.45; }
.plot { height: 244px; margin-top: .6rem; }
.uplot { font: inherit; }
.u-legend { text-align: left; font-size: .8125rem; color: var(--faint); font-variant-numeric: tabular-nums; }
.u-legend th { font-weight: 500; }
.u-legend tbody th, .u-legend td { padding: 2px 4px; border: 0; min-width: 0; }
.u-legend .u-marker { width: .8em; height: .8em; border-radius: 50%; }
.u-legend .u-series:first-child .u-marker { display: none; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(calc(var(--columns) * 5.25rem), 1fr)); gap: 1.4rem 1.25rem; }
.sample { min-width: 0; }
.heads, .images { display: grid; grid-template-columns: repeat(var(--columns), 1fr); gap: .4rem; }
.heads span { color: var(--faint); font-size: .72rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.images img { display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated; border-radius: 6px; border: 1px solid var(--line); background: #fff; }
.sample figcaption { margin-top: .3rem; font-size: .8125rem; line-height: 1.35; text-wrap: balance; }
dl { margin: 0; columns: 22rem 2; column-gap: 2.5rem; }
dl div { break-inside: avoid; padding-bottom: .9rem; }
dt { font-weight: 600; }
dd { margin: 0; color: var(--faint); font-size: .9rem; line-height: 1.5; }
details { border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
summary { padding: .7rem 1rem; cursor: pointer; font-weight: 600; }
pre { margin: 0; padding: 0 1rem 1rem; overflow-x: auto; font: .8125rem/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; }
:focus-visible { outline: 2px solid var(--series1); outline-offset: 2px; }
@media print { body { padding: 0; } details { border: 0; } .curve { break-inside: avoid; } }
`;
