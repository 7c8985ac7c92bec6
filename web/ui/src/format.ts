// Numbers and times as people read them.

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** bytes with three digits: 1536 is "1.50 KiB". */
export function bytes(n: number): string {
  let i = 0;
  while (Math.abs(n) >= 1024 && i < sizes.length - 1) {
    n /= 1024;
    i++;
  }
  return `${i === 0 ? n : n.toPrecision(3)} ${sizes[i]}`;
}

/** count with thousands apart. */
export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** number of a value as the API writes it: "+Inf" too. */
export function number(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

/** many is a count with its noun: "1 block", "2 blocks". */
export function many(n: number, one: string, more = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

/** short is a value for an axis: 12.3k. */
export function short(v: number): string {
  const a = Math.abs(v);
  if (a !== 0 && (a < 1e-4 || a >= 1e15)) return v.toExponential(2);
  for (const [limit, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const) {
    if (a >= limit) return `${+(v / limit).toPrecision(4)}${unit}`;
  }
  return String(+v.toPrecision(4));
}

const units: [string, number][] = [['y', 31_536_000], ['w', 604_800], ['d', 86_400], ['h', 3_600], ['m', 60], ['s', 1]];

/** seconds of a duration as Prometheus writes it: 90m, 1h30m, 1.5h are taken as well as plain seconds; NaN for anything else. */
export function parseDuration(text: string): number {
  const s = text.trim();
  if (/^\d+(\.\d+)?$/.test(s)) return Number(s);
  let rest = s;
  let sum = 0;
  while (rest) {
    const m = /^(\d+(?:\.\d+)?)(ms|[ywdhms])/.exec(rest);
    if (!m) return NaN;
    sum += Number(m[1]) * (m[2] === 'ms' ? 0.001 : units.find(([u]) => u === m[2])![1]);
    rest = rest.slice(m[0].length);
  }
  return s ? sum : NaN;
}

/** duration of seconds as Prometheus writes it. */
export function duration(seconds: number): string {
  let rest = Math.round(seconds);
  if (rest <= 0) return `${seconds}s`;
  let out = '';
  for (const [unit, size] of units) {
    if (unit === 'w' || unit === 'y') if (rest % size !== 0 || out) continue;
    const n = Math.floor(rest / size);
    if (n > 0) out += `${n}${unit}`;
    rest -= n * size;
  }
  return out;
}

/** time of Unix seconds in UTC. */
export function time(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  return new Date(seconds * 1000).toISOString().replace('T', ' ').replace(/\.000Z$/, '').replace('Z', '');
}

/** step that makes about 250 points of a range, rounded to one that people say; at least a second. */
export function stepFor(rangeSeconds: number): number {
  const want = rangeSeconds / 250;
  for (const s of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]) {
    if (s >= want) return s;
  }
  return Math.ceil(want / 86400) * 86400;
}

/** series as PromQL writes it. */
export function series(metric: Record<string, string>): string {
  const legacy = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
  const name = metric['__name__'] ?? '';
  const pairs = Object.keys(metric)
    .filter((k) => k !== '__name__')
    .sort()
    .map((k) => `${/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(k) ? k : JSON.stringify(k)}=${JSON.stringify(metric[k])}`);
  if (name && !legacy.test(name)) return `{${[JSON.stringify(name), ...pairs].join(', ')}}`;
  return pairs.length || !name ? `${name}{${pairs.join(', ')}}` : name;
}

/** usd of a tiny cost. */
export function usd(v: number): string {
  return v === 0 ? '0 USD' : `${v.toFixed(v < 0.001 ? 7 : 4)} USD`;
}
