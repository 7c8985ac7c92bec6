import { call, type Answer } from './api';
import { el, table } from './dom';
import { bytes, count, many, time } from './format';

// The catalog: the days of a tenant and the blocks of a day.

interface Day {
  day: string;
  generation: number;
  blocks: number;
  parquet: number;
  rollups: number;
  samples: number;
  bytes: number;
  retired: number;
  tombstones: number;
  quarantined: number;
}

interface Block {
  id: string;
  key: string;
  format: string;
  order: number;
  min_ms: number;
  max_ms: number;
  series: number;
  samples: number;
  bytes: number;
  writer?: string;
  generation?: number;
  merged: number;
  masked: boolean;
  quarantined?: string;
}

export async function catalogPage(day: string, signal: AbortSignal): Promise<HTMLElement> {
  return day ? blocksOf(day, signal) : days(signal);
}

async function days(signal: AbortSignal): Promise<HTMLElement> {
  const a: Answer<{ tenant: string; days: Day[]; days_in_all: number }> = await call('status/catalog', {}, signal, 'GET');
  const list = a.data.days.toReversed();
  const samples = list.reduce((n, d) => n + d.samples, 0);
  const size = list.reduce((n, d) => n + d.bytes, 0);
  return el(
    'div',
    {},
    el('h1', {}, `Catalog of ${a.data.tenant}`),
    el('p', { class: 'muted' }, list.length === 0 ? 'Nothing is in the bucket yet: what was written is in the log and in memory until it is flushed.' : `${many(a.data.days_in_all, 'day')}; in the last ${list.length} of them ${count(samples)} samples in ${bytes(size)}${samples ? `, ${(size / samples).toFixed(2)} bytes a sample` : ''}.`),
    list.length ? bars(list) : null,
    list.length
      ? table<Day>(
          [
            { title: 'Day', value: (d) => d.day, show: (d) => el('a', { href: `#/catalog/${d.day}` }, d.day) },
            { title: 'Blocks', number: true, value: (d) => d.blocks },
            { title: 'of them parquet', number: true, value: (d) => d.parquet },
            { title: 'Rollups', number: true, value: (d) => d.rollups },
            { title: 'Samples', number: true, value: (d) => d.samples, show: (d) => count(d.samples) },
            { title: 'Size', number: true, value: (d) => d.bytes, show: (d) => bytes(d.bytes) },
            { title: 'B/sample', number: true, value: (d) => (d.samples ? d.bytes / d.samples : 0), show: (d) => (d.samples ? (d.bytes / d.samples).toFixed(2) : '-') },
            { title: 'Retired', number: true, value: (d) => d.retired },
            { title: 'Tombstones', number: true, value: (d) => d.tombstones },
            { title: 'Quarantined', number: true, value: (d) => d.quarantined },
          ],
          list,
          'Days',
        )
      : null,
  );
}

/** bars shows the bytes of each day, oldest first. */
function bars(list: Day[]): HTMLElement {
  const most = Math.max(...list.map((d) => d.bytes), 1);
  return el(
    'div',
    { class: 'days', role: 'img', 'aria-label': 'Bytes by day' },
    ...list.toReversed().map((d) => {
      const a = el('a', { href: `#/catalog/${d.day}`, title: `${d.day}: ${bytes(d.bytes)}, ${d.blocks} blocks`, tabIndex: -1 });
      a.style.height = `${Math.max(2, (100 * d.bytes) / most)}%`;
      return a;
    }),
  );
}

async function blocksOf(day: string, signal: AbortSignal): Promise<HTMLElement> {
  const a: Answer<{ tenant: string; day: Day; blocks: Block[] }> = await call('status/catalog', { day }, signal, 'GET');
  const list = a.data.blocks;
  const clock = (ms: number) => time(ms / 1000).slice(11);
  return el(
    'div',
    {},
    el('p', {}, el('a', { href: '#/catalog' }, '‹ all days')),
    el('h1', {}, `${a.data.tenant}, ${day}`),
    el('p', { class: 'muted' }, `${many(list.length, 'live block')}, ${many(a.data.day.samples, 'sample')}, ${bytes(a.data.day.bytes)}; commit ${count(a.data.day.generation)} of the catalog.`),
    list.length ? spans(list) : null,
    table<Block>(
      [
        { title: 'Block', value: (b) => b.id, show: (b) => el('code', { title: b.key }, b.id) },
        { title: 'Format', value: (b) => b.format },
        { title: 'Order', number: true, value: (b) => b.order },
        { title: 'From', value: (b) => b.min_ms, show: (b) => clock(b.min_ms) },
        { title: 'To', value: (b) => b.max_ms, show: (b) => clock(b.max_ms) },
        { title: 'Series', number: true, value: (b) => b.series, show: (b) => count(b.series) },
        { title: 'Samples', number: true, value: (b) => b.samples, show: (b) => count(b.samples) },
        { title: 'Size', number: true, value: (b) => b.bytes, show: (b) => bytes(b.bytes) },
        { title: 'From', value: (b) => b.writer ?? '', show: (b) => (b.merged ? `${b.merged} blocks` : b.writer ? `${b.writer.slice(0, 8)}/${b.generation}` : '-') },
        { title: 'State', value: (b) => b.quarantined ?? '', show: (b) => (b.quarantined ? el('span', { class: 'warning', title: b.quarantined }, 'quarantined') : b.masked ? 'masked in part' : '') },
      ],
      list,
      'Blocks',
    ),
  );
}

/** spans draws the hours that each block covers. */
function spans(list: Block[]): HTMLElement {
  const dayMs = 86_400_000;
  return el(
    'div',
    { class: 'spans', role: 'img', 'aria-label': 'Hours of the day that the blocks cover' },
    ...list.slice(0, 60).map((b) => {
      const from = ((b.min_ms % dayMs) + dayMs) % dayMs;
      const to = ((b.max_ms % dayMs) + dayMs) % dayMs;
      const s = el('span', { class: b.format, title: `${b.id}: ${bytes(b.bytes)}` });
      s.style.marginLeft = `${(100 * from) / dayMs}%`;
      s.style.width = `${Math.max(0.3, (100 * (to - from)) / dayMs)}%`;
      return s;
    }),
  );
}
