import { APIError, call, type Answer, type Result, type Series } from './api';
import { newChart, type Chart } from './chart';
import { el, table } from './dom';
import { newEditor } from './editor';
import { explained } from './explain';
import { count, duration, number, parseDuration, series, stepFor, time } from './format';
import { settings } from './settings';
import { readQuery, writeQuery, type QueryState, type Tab } from './state';

// The page for queries: editor, range of time, graph, table, and what it cost.

export interface Page {
  dom: HTMLElement;
  /** changed is called when the address changed while the page is shown. */
  changed: (params: URLSearchParams) => void;
  focus: () => void;
  /** draft is what is in the editor, whether it was run or not. */
  draft: () => string;
  destroy: () => void;
}

const ranges = [300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_678_400];

/** queryPage makes the page; draft, if given, is in the editor in place of the address's query. */
export function queryPage(params: URLSearchParams, draft?: string): Page {
  let state = readQuery(params);
  let chart: Chart | undefined;
  let running: AbortController | undefined;
  let last: { answer: Answer<Result>; start: number; end: number; step: number } | undefined;

  const out = el('section', { class: 'result', id: 'result', role: 'tabpanel' });
  const status = el('p', { class: 'status muted', role: 'status' });
  const editor = newEditor(draft ?? state.expr, () => go({ expr: editor.text() }));

  const range = el('input', { id: 'range', size: 6, value: duration(state.range), spellcheck: false, onchange: () => typed(range, (v) => go({ range: v, step: 0 })) });
  const step = el('input', { id: 'step', size: 6, placeholder: 'auto', spellcheck: false, onchange: () => (step.value.trim() ? typed(step, (v) => go({ step: v })) : go({ step: 0 })) });
  const end = el('input', { id: 'end', type: 'datetime-local', step: '1', onchange: () => go({ end: end.value ? Date.parse(`${end.value}Z`) / 1000 : 0 }) });
  const quick = el('select', { 'aria-label': 'Ranges', onchange: () => go({ range: Number(quick.value), step: 0 }) }, el('option', { value: '', disabled: true }, '…'), ...ranges.map((r) => el('option', { value: String(r) }, duration(r))));
  const stacked = el('input', { type: 'checkbox', id: 'stacked', onchange: () => go({ stacked: stacked.checked }) });
  const past = el('select', { 'aria-label': 'Queries before', onchange: () => (editor.set(past.value), go({ expr: past.value })) });
  const tabs = (['graph', 'table', 'explain'] as Tab[]).map((t) =>
    el('button', { type: 'button', role: 'tab', id: `tab-${t}`, 'aria-controls': 'result', onclick: () => go({ tab: t }) }, t[0]!.toUpperCase() + t.slice(1)),
  );
  const dom = el(
    'div',
    { class: 'query' },
    el('div', { class: 'row' }, el('div', { class: 'editor' }, editor.dom), el('button', { type: 'button', class: 'primary', id: 'run', onclick: () => go({ expr: editor.text() }) }, 'Run')),
    el(
      'div',
      { class: 'row controls' },
      el('button', { type: 'button', title: 'Back by half the range ([)', 'aria-label': 'Earlier', onclick: () => move(-0.5) }, '‹'),
      el('label', {}, 'Range ', range),
      quick,
      el('button', { type: 'button', title: 'Forward by half the range (])', 'aria-label': 'Later', onclick: () => move(0.5) }, '›'),
      el('label', {}, 'End (UTC) ', end),
      el('button', { type: 'button', title: 'End now (n)', onclick: () => go({ end: 0 }) }, 'Now'),
      el('label', {}, 'Step ', step),
      el('label', {}, stacked, ' stacked'),
      past,
    ),
    el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Result', onkeydown: (e: KeyboardEvent) => turn(e) }, ...tabs),
    status,
    out,
  );

  /** turn goes from tab to tab by the arrows, as screen readers tell people to. */
  function turn(e: KeyboardEvent) {
    const at = tabs.findIndex((b) => b === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[e.key];
    if (at < 0 || to === undefined) return;
    e.preventDefault();
    const b = tabs.at(to % tabs.length)!;
    b.focus();
    b.click();
  }

  function typed(input: HTMLInputElement, use: (seconds: number) => void) {
    const v = parseDuration(input.value);
    const good = v > 0;
    input.setAttribute('aria-invalid', String(!good));
    if (good) use(v);
    else status.textContent = `"${input.value}" is not a duration, such as 90s, 1h30m or 2w`;
  }

  function move(share: number) {
    go({ end: Math.round((state.end || Date.now() / 1000) + share * state.range) });
  }

  /** go changes the address, which runs the query. */
  function go(change: Partial<QueryState>) {
    const hash = writeQuery({ ...state, ...change });
    if (hash === location.hash) changed(new URLSearchParams(hash.split('?')[1]));
    else location.hash = hash;
  }

  function changed(params: URLSearchParams) {
    const before = state;
    state = readQuery(params);
    show();
    if (state.expr !== before.expr && state.expr !== editor.text()) editor.set(state.expr);
    const same = before.expr === state.expr && before.range === state.range && before.end === state.end && before.step === state.step;
    const kind = (t: Tab) => t === 'table';
    if (same && last && kind(before.tab) === kind(state.tab) && before.tab !== state.tab) draw();
    else if (same && last && before.stacked !== state.stacked) draw();
    else void run();
  }

  function show() {
    range.value = duration(state.range);
    quick.value = ranges.includes(state.range) ? String(state.range) : '';
    step.value = state.step ? duration(state.step) : '';
    step.placeholder = `auto ${duration(stepFor(state.range))}`;
    end.value = state.end ? new Date(state.end * 1000).toISOString().slice(0, 19) : '';
    stacked.checked = state.stacked;
    tabs.forEach((b) => {
      const now = b.id === `tab-${state.tab}`;
      b.setAttribute('aria-selected', String(now));
      b.tabIndex = now ? 0 : -1;
    });
    out.setAttribute('aria-labelledby', `tab-${state.tab}`);
    past.replaceChildren(el('option', { value: '', disabled: true, selected: true }, 'Before…'), ...settings.queries().map((q) => el('option', { value: q }, q.length > 80 ? `${q.slice(0, 80)}…` : q)));
    past.hidden = settings.queries().length === 0;
  }

  async function run() {
    running?.abort();
    if (!state.expr.trim()) {
      clear();
      out.replaceChildren(welcome());
      status.textContent = '';
      return;
    }
    const mine = (running = new AbortController());
    status.textContent = 'Running…';
    const step = state.step || stepFor(state.range);
    // Aligned to the step, so that the same question has the same answer a second later, and caches.
    const end = Math.floor((state.end || Date.now() / 1000) / step) * step;
    const start = end - Math.floor(state.range / step) * step;
    const at = state.end || Date.now() / 1000;
    try {
      const answer =
        state.tab === 'table'
          ? await call<Result>('query', { query: state.expr, time: String(at), explain: 'true' }, mine.signal)
          : await call<Result>('query_range', { query: state.expr, start: String(start), end: String(end), step: String(step), explain: 'true' }, mine.signal);
      settings.addQuery(state.expr);
      last = { answer, start, end, step };
      show();
      draw();
    } catch (e) {
      if (mine.signal.aborted) return;
      last = undefined;
      clear();
      status.textContent = '';
      const known = e instanceof APIError ? e : new APIError('internal', String(e));
      out.replaceChildren(el('div', { class: 'error', role: 'alert' }, el('strong', {}, known.kind), ' ', known.message), known.explain ? explained(known.explain, 0) : '');
    }
  }

  function clear() {
    chart?.destroy();
    chart = undefined;
    out.replaceChildren();
  }

  function draw() {
    if (!last) return;
    const { answer, start, end, step } = last;
    clear();
    const list = answer.data.resultType === 'matrix' || answer.data.resultType === 'vector' ? answer.data.result : [];
    status.textContent = `${count(list.length)} series, ${answer.ms.toFixed(0)} ms` + (answer.data.resultType === 'matrix' ? `, step ${duration(step)}` : '');
    const notes = [...answer.warnings.map((w) => el('p', { class: 'warning' }, w)), ...answer.infos.map((w) => el('p', { class: 'info' }, w))];
    out.append(...notes);
    if (state.tab === 'explain') out.append(explained(answer.explain, answer.ms));
    else if (answer.data.resultType === 'scalar' || answer.data.resultType === 'string') out.append(el('p', { class: 'scalar' }, answer.data.result[1]));
    else if (list.length === 0) out.append(el('p', { class: 'muted' }, 'No series.'));
    else if (state.tab === 'table') out.append(values(list));
    else {
      chart = newChart(list, start, end, step, state.stacked, (from, to) => go({ range: Math.max(1, Math.round(to - from)), end: Math.round(to), step: 0 }));
      out.append(chart.dom);
    }
  }

  show();
  void run();
  return {
    dom,
    changed,
    draft: () => editor.text(),
    focus: () => editor.focus(),
    destroy: () => {
      running?.abort();
      clear();
      editor.destroy();
    },
  };
}

/** newest is the value of a series; of a range of samples the last one, with how many there are. */
export function newest(s: Series): { at: number; sort: number; text: string } {
  const float = s.value ?? s.values?.at(-1);
  const histogram = s.histogram ?? s.histograms?.at(-1);
  const n = (s.values?.length ?? 0) + (s.histograms?.length ?? 0);
  const more = n > 1 ? `, the last of ${count(n)}` : '';
  if (float && (!histogram || float[0] > histogram[0])) return { at: float[0], sort: number(float[1]), text: float[1] + more };
  if (histogram) return { at: histogram[0], sort: number(histogram[1].count), text: `count ${histogram[1].count}, sum ${histogram[1].sum}${more}` };
  return { at: NaN, sort: NaN, text: '' };
}

function values(list: Series[]): HTMLElement {
  return table<Series>(
    [
      { title: 'Series', value: (s) => series(s.metric) },
      { title: 'Value', number: true, value: (s) => newest(s).sort, show: (s) => newest(s).text },
      { title: 'Time (UTC)', number: true, value: (s) => newest(s).at, show: (s) => time(newest(s).at) },
    ],
    list,
    'Values',
  );
}

function welcome(): HTMLElement {
  const examples = ['up', 'sum by (job) (rate(process_cpu_seconds_total[5m]))', 'topk(10, count by (__name__) ({__name__=~".+"}))'];
  return el(
    'div',
    { class: 'welcome' },
    el('p', {}, 'Ask something, for example'),
    el('ul', {}, ...examples.map((q) => el('li', {}, el('a', { href: writeQuery({ expr: q, range: 3600, end: 0, step: 0, tab: 'graph', stacked: false }) }, el('code', {}, q))))),
    el('p', { class: 'muted' }, 'Metric names, labels, values and functions complete as you type; Ctrl-Space asks for them.'),
  );
}
