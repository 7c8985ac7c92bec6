import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Series } from './api';
import { el } from './dom';
import { many, number, series as show, short, time } from './format';

// A graph of a matrix. Drag to zoom; a click on a line of the legend shows that series alone.

/** most is how many series are drawn; the table has all. */
export const most = 100;

export interface Chart {
  dom: HTMLElement;
  destroy: () => void;
}

/** grid puts the points of all series on one axis of time; null is a gap. */
export function grid(list: Series[], start: number, end: number, step: number): [number[], (number | null)[][]] {
  const n = Math.floor((end - start) / step + 1e-6) + 1;
  const at = Array.from({ length: n }, (_, i) => start + i * step);
  const rows = list.map((s) => {
    const row = new Array<number | null>(n).fill(null);
    for (const [t, v] of s.values ?? s.histograms?.map(([t, h]) => [t, h.count] as const) ?? []) {
      const i = Math.round((t - start) / step);
      const f = number(v);
      if (i >= 0 && i < n && Number.isFinite(f)) row[i] = f;
    }
    return row;
  });
  return [at, rows];
}

/** color of the i-th series: hues far apart, by the golden angle; lighter on dark paper. */
export function color(i: number, dark = false): string {
  return `hsl(${(200 + i * 137.508) % 360} 62% ${[46, 58, 38][i % 3]! + (dark ? 18 : 0)}%)`;
}

/** ticks of the axis of time, by the distance of two of them in seconds: clock, and the day where it changes. */
const ticks: (string | number | null)[][] = [
  [86_400, '{YYYY}-{MM}-{DD}', null, null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{YYYY}-{MM}-{DD}', null, '\n{YYYY}-{MM}-{DD}', null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', '\n{YYYY}-{MM}-{DD}', null, '\n{YYYY}-{MM}-{DD}', null, null, null, 1],
];

export function newChart(list: Series[], start: number, end: number, step: number, stacked: boolean, zoom: (start: number, end: number) => void): Chart {
  const drawn = list.slice(0, most);
  const [at, rows] = grid(drawn, start, end, step);
  const lines = stacked ? stack(rows) : rows;
  const plot = el('div', { class: 'plot', role: 'img', 'aria-label': `Graph of ${many(drawn.length, 'series', 'series')} from ${time(start)} to ${time(end)} UTC; the table has the values` });
  const readout = el('div', { class: 'readout muted', 'aria-live': 'off' }, '\u00a0');
  const style = getComputedStyle(document.documentElement);
  const dark = style.colorScheme === 'dark';
  const ink = style.getPropertyValue('--muted').trim();
  const rule = style.getPropertyValue('--line').trim();
  const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1 } };

  const u = new uPlot(
    {
      width: 600,
      height: 340,
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), 'Etc/UTC'),
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 24 } },
      focus: { alpha: 0.25 },
      scales: { x: { time: true, range: () => [start, end] } },
      axes: [{ ...axis, values: ticks as uPlot.Axis.Values }, { ...axis, size: 64, values: (_, ticks) => ticks.map(short) }],
      series: [{}, ...drawn.map((s, i) => ({ label: show(s.metric), stroke: color(i, dark), width: 1.5, spanGaps: false, fill: stacked ? color(i, dark).replace(')', ' / 0.15)') : undefined, points: { show: lonely(rows[i]!) } }))],
      hooks: {
        setSelect: [
          (u) => {
            if (u.select.width < 5) return;
            zoom(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
          },
        ],
        setCursor: [() => tell()],
        setSeries: [() => tell()],
      },
    },
    [at, ...lines],
    plot,
  );

  let focused = -1;
  function tell() {
    const i = u.cursor.idx;
    focused = u.series.findIndex((s, j) => j > 0 && (s as { _focus?: boolean })._focus === true);
    if (i == null) {
      readout.textContent = '\u00a0';
      return;
    }
    const j = focused > 0 ? focused - 1 : -1;
    const v = j >= 0 ? rows[j]![i] : null;
    readout.textContent = `${time(at[i]!)} UTC` + (j >= 0 && v != null ? `  ${v}  ${show(drawn[j]!.metric)}` : '');
  }

  let alone = -1;
  const legend = el(
    'ul',
    { class: 'legend' },
    ...drawn.map((s, i) =>
      el(
        'li',
        {},
        el(
          'button',
          {
            type: 'button',
            'aria-pressed': 'false',
            onclick: () => {
              alone = alone === i ? -1 : i;
              u.batch(() => drawn.forEach((_, j) => u.setSeries(j + 1, { show: alone < 0 || alone === j })));
              [...legend.querySelectorAll('button')].forEach((b, j) => b.setAttribute('aria-pressed', String(alone === j)));
            },
          },
          swatch(color(i, dark)),
          show(s.metric),
        ),
      ),
    ),
  );
  const note = list.length > most ? el('p', { class: 'muted' }, `The first ${most} of ${list.length} series are drawn; the table has all.`) : null;
  const dom = el('div', { class: 'chart' }, plot, readout, note, legend);
  const sized = new ResizeObserver(() => plot.clientWidth > 0 && u.setSize({ width: plot.clientWidth, height: Math.max(240, Math.min(460, window.innerHeight * 0.42)) }));
  sized.observe(plot);
  return {
    dom,
    destroy: () => {
      sized.disconnect();
      u.destroy();
    },
  };
}

function swatch(color: string): HTMLElement {
  const s = el('span', { class: 'swatch', 'aria-hidden': 'true' });
  s.style.background = color;
  return s;
}

/** lonely reports whether a point stands between gaps, which a line would not show. */
function lonely(row: (number | null)[]): boolean {
  return row.some((v, i) => v != null && row[i - 1] == null && row[i + 1] == null);
}

function stack(rows: (number | null)[][]): (number | null)[][] {
  const sum: number[] = [];
  return rows.map((row) => row.map((v, i) => (v == null ? null : (sum[i] = (sum[i] ?? 0) + v))));
}
