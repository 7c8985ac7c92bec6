import { settings } from './settings';

// The HTTP API of the server that served this page.

/** prefix is the path below which the API is: that of the page itself. */
export const prefix = new URL('api/v1', document.baseURI).pathname;

/** Explain is what a query did at the bucket: the fields of query.Explain. */
export interface Explain {
  stages: number;
  gets: number;
  gets_by_kind: Record<string, number>;
  lists: number;
  bytes_fetched: number;
  catalog_bytes: number;
  bytes_needed: number;
  blocks: number;
  series: number;
  samples: number;
  cache_hits: number;
  cache_bytes: number;
  kept_steps: number;
  cost_usd: number;
}

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
  explain?: Explain;
  ms: number;
}

export type Metric = Record<string, string>;
export type Point = [number, string];
export interface Histogram { count: string; sum: string; buckets?: [number, string, string, string][] }
export interface Series { metric: Metric; values?: Point[]; value?: Point; histogram?: [number, Histogram]; histograms?: [number, Histogram][] }
export type Result =
  | { resultType: 'matrix' | 'vector'; result: Series[] }
  | { resultType: 'scalar' | 'string'; result: Point };

/** APIError is what the server said, or that it did not. */
export class APIError extends Error {
  constructor(readonly kind: string, message: string, readonly explain?: Explain) {
    super(message);
  }
}

/** headers of every request. */
export function headers(): Record<string, string> {
  const t = settings.tenant();
  return t ? { 'X-Scope-OrgID': t } : {};
}

/** call asks the API; parameters go in the body, as queries may be long. */
export async function call<T>(path: string, params: Record<string, string>, signal?: AbortSignal, method: 'GET' | 'POST' = 'POST'): Promise<Answer<T>> {
  const began = performance.now();
  const body = new URLSearchParams(params);
  const url = method === 'GET' ? `${prefix}/${path}?${body}` : `${prefix}/${path}`;
  let r: Response;
  try {
    r = await fetch(url, { method, body: method === 'GET' ? undefined : body, headers: headers(), signal });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new APIError('unavailable', 'The server cannot be reached.');
  }
  const explain = parse<Explain>(r.headers.get('X-Varve-Explain') ?? '');
  const text = await r.text();
  const json = parse<{ status: string; data: T; errorType?: string; error?: string; warnings?: string[]; infos?: string[] }>(text);
  if (!json) throw new APIError('internal', `The server answered ${r.status} with something that is not JSON: ${text.slice(0, 200)}`, explain);
  if (json.status !== 'success') throw new APIError(json.errorType ?? 'internal', json.error ?? `status ${r.status}`, explain);
  return { data: json.data, warnings: json.warnings ?? [], infos: json.infos ?? [], explain, ms: performance.now() - began };
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}
