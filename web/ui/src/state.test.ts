import { expect, test } from 'vitest';
import { placeOf, readQuery, writeQuery, type QueryState } from './state';

test('a query survives the address', () => {
  const s: QueryState = { expr: 'sum by (job) (rate(a{b="c&d=#?%"}[5m])) # é', range: 7200, end: 1_700_000_000.5, step: 15, tab: 'table', stacked: true };
  const p = placeOf(writeQuery(s));
  expect(p.page).toBe('query');
  expect(readQuery(p.params)).toEqual(s);
});

test.each(['', '#', '#/', '#/query', '#/query?range=x&step=-1&tab=odd', '#/query?range=NaN&end=Infinity'])('rubbish %s gives the defaults', (hash) => {
  const p = placeOf(hash);
  expect(p.page).toBe('query');
  expect(readQuery(p.params)).toEqual({ expr: '', range: 3600, end: 0, step: 0, tab: 'graph', stacked: false });
});

test('times beyond all calendars are cut', () => {
  const s = readQuery(placeOf('#/query?end=1e18&range=1e300').params);
  expect(new Date(s.end * 1000).toISOString()).toBe('9999-12-31T23:59:59.000Z');
  expect(s.range).toBeLessThan(1e12);
});

test('a day of the catalog', () => {
  expect(placeOf('#/catalog/2026-11-23')).toMatchObject({ page: 'catalog', rest: '2026-11-23' });
  expect(placeOf('#/catalog/%zz').rest).toBe('%zz');
});
