// The address of the page says all of a query, so that it can be kept and sent.

export type Tab = 'graph' | 'table' | 'explain';

export interface QueryState {
  expr: string;
  /** range in seconds */
  range: number;
  /** end in Unix seconds; 0 is now */
  end: number;
  /** step in seconds; 0 is chosen by the range */
  step: number;
  tab: Tab;
  stacked: boolean;
}

export interface Place {
  page: string;
  rest: string;
  params: URLSearchParams;
}

/** placeOf takes the hash apart: #/page/rest?params. */
export function placeOf(hash: string): Place {
  const [path = '', params = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', rest = ''] = path.split('/', 2);
  return { page: page || 'query', rest: decode(rest), params: new URLSearchParams(params) };
}

function decode(s: string): string {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}

// Times of the API end with the year 9999. What is beyond is not shown anywhere.
const latest = 253_402_300_799;

export function readQuery(p: URLSearchParams): QueryState {
  const number = (name: string, or: number) => {
    const v = Number(p.get(name));
    return p.get(name) && Number.isFinite(v) && v >= 0 ? v : or;
  };
  const tab = p.get('tab') as Tab;
  return {
    expr: p.get('q') ?? '',
    range: Math.min(latest, Math.max(1, number('range', 3600))),
    end: Math.min(latest, number('end', 0)),
    step: number('step', 0),
    tab: ['graph', 'table', 'explain'].includes(tab) ? tab : 'graph',
    stacked: p.get('stacked') === '1',
  };
}

export function writeQuery(s: QueryState): string {
  const p = new URLSearchParams({ q: s.expr, range: String(s.range) });
  if (s.end) p.set('end', String(s.end));
  if (s.step) p.set('step', String(s.step));
  if (s.tab !== 'graph') p.set('tab', s.tab);
  if (s.stacked) p.set('stacked', '1');
  return `#/query?${p}`;
}
