import type { Explain } from './api';
import { el } from './dom';
import { bytes, count, many, usd } from './format';

/** explained shows what a query did at the bucket. */
export function explained(e: Explain | undefined, ms: number): HTMLElement {
  if (!e) return el('p', { class: 'muted' }, 'The server did not say.');
  const kinds = Object.entries(e.gets_by_kind)
    .filter(([, n]) => n > 0)
    .map(([k, n]) => `${n} ${k}`)
    .join(', ');
  const touched = e.cache_bytes + e.bytes_fetched;
  const fact = (name: string, value: string, more = '') => el('div', { class: 'fact' }, el('dt', {}, name), el('dd', {}, value), more ? el('dd', { class: 'muted' }, more) : null);
  return el(
    'div',
    { class: 'explain' },
    el(
      'dl',
      { class: 'facts' },
      fact('Time', `${ms.toFixed(ms < 10 ? 1 : 0)} ms`, 'as the browser saw it'),
      fact('Stages', String(e.stages), 'requests that waited for one another'),
      fact('GETs', count(e.gets), kinds || 'none'),
      fact('LISTs', count(e.lists), e.lists === 0 ? 'as it should be' : ''),
      fact('Fetched', bytes(e.bytes_fetched), `${bytes(e.bytes_needed)} needed; catalogs ${bytes(e.catalog_bytes)}`),
      fact('From caches', bytes(e.cache_bytes), `${count(e.cache_hits)} reads saved`),
      fact('Kept', many(e.kept_steps, 'step'), 'of which the results were known'),
      fact('Read', many(e.samples, 'sample'), `${many(e.blocks, 'block')}, ${many(e.series, 'series', 'series')} in them`),
      fact('Cost', usd(e.cost_usd), 'of requests, at the price of S3 standard'),
    ),
    el(
      'div',
      { class: 'bar', role: 'img', 'aria-label': `${bytes(e.cache_bytes)} of ${bytes(touched)} came from caches` },
      part('cached', e.cache_bytes, touched),
      part('needed', Math.min(e.bytes_needed, e.bytes_fetched), touched),
      part('beside', Math.max(0, e.bytes_fetched - e.bytes_needed), touched),
    ),
    el('p', { class: 'muted key' }, el('span', { class: 'cached' }, 'from caches'), el('span', { class: 'needed' }, 'fetched and needed'), el('span', { class: 'beside' }, 'fetched beside it')),
  );
}

function part(name: string, n: number, of: number): HTMLElement {
  const s = el('span', { class: name });
  s.style.width = of > 0 ? `${(100 * n) / of}%` : '0';
  return s;
}
