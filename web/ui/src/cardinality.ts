import { call, type Answer } from './api';
import { el, table } from './dom';
import { count } from './format';
import { writeQuery } from './state';

// Where the series are: the largest metrics, labels and pairs.

interface Entry { name: string; value: number }
interface Stats {
  headStats: { numSeries: number; numLabelPairs: number; minTime: number; maxTime: number };
  seriesCountByMetricName: Entry[];
  labelValueCountByLabelName: Entry[];
  seriesCountByLabelValuePair: Entry[];
}

export async function cardinalityPage(params: URLSearchParams, signal: AbortSignal): Promise<HTMLElement> {
  const match = params.get('match') ?? '';
  const hours = Number(params.get('hours')) || 1;
  const end = Date.now() / 1000;
  const ask: Record<string, string> = { limit: '50', start: String(end - hours * 3600), end: String(end) };
  if (match) ask['match[]'] = match;
  const a: Answer<Stats> = await call('status/tsdb', ask, signal, 'GET');
  const s = a.data;
  const selector = el('input', { id: 'match', size: 40, value: match, placeholder: '{job="api"}', spellcheck: false });
  const span = el('select', { id: 'hours' }, ...[1, 6, 24, 168].map((h) => el('option', { value: String(h), selected: h === hours }, h < 24 ? `${h} h` : `${h / 24} d`)));
  const go = () => (location.hash = `#/cardinality?${new URLSearchParams({ hours: span.value, ...(selector.value ? { match: selector.value } : {}) })}`);
  span.addEventListener('change', go);
  return el(
    'div',
    {},
    el('h1', {}, 'Cardinality'),
    el('form', { class: 'row controls', onsubmit: (e: Event) => (e.preventDefault(), go()) }, el('label', {}, 'Series that match ', selector), el('label', {}, 'in the last ', span), el('button', { type: 'submit', class: 'primary' }, 'Count')),
    ...a.warnings.map((w) => el('p', { class: 'warning' }, w)),
    el('dl', { class: 'facts' }, ...fact('Series', s.headStats.numSeries), ...fact('Label pairs', s.headStats.numLabelPairs), ...fact('Metrics shown', s.seriesCountByMetricName.length)),
    el(
      'div',
      { class: 'columns' },
      entries('Series by metric', s.seriesCountByMetricName, (n) => writeQuery({ expr: selectorOf(n), range: 3600, end: 0, step: 0, tab: 'table', stacked: false })),
      entries('Values by label', s.labelValueCountByLabelName),
      entries('Series by pair', s.seriesCountByLabelValuePair, (n) => {
        const at = n.indexOf('=');
        return `#/cardinality?${new URLSearchParams({ hours: String(hours), match: `{${JSON.stringify(n.slice(0, at))}=${JSON.stringify(n.slice(at + 1))}}` })}`;
      }),
    ),
  );
}

function selectorOf(metric: string): string {
  return /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(metric) ? metric : `{${JSON.stringify(metric)}}`;
}

function fact(name: string, n: number): HTMLElement[] {
  return [el('div', { class: 'fact' }, el('dt', {}, name), el('dd', {}, count(n)))];
}

function entries(title: string, list: Entry[], link?: (name: string) => string): HTMLElement {
  const most = Math.max(...list.map((e) => e.value), 1);
  return table<Entry>(
    [
      { title: 'Name', value: (e) => e.name, show: (e) => (link ? el('a', { href: link(e.name) }, e.name) : e.name) },
      {
        title: 'Count',
        number: true,
        value: (e) => e.value,
        show: (e) => {
          const bar = el('span', { class: 'meter', 'aria-hidden': 'true' });
          bar.style.width = `${(60 * e.value) / most}px`;
          return el('span', {}, bar, count(e.value));
        },
      },
    ],
    list,
    title,
  );
}
