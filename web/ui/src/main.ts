import './style.css';
import { APIError, call } from './api';
import { cardinalityPage } from './cardinality';
import { catalogPage } from './catalog';
import { byId, el } from './dom';
import { queryPage, type Page } from './query';
import { settings, type Theme } from './settings';
import { placeOf } from './state';

// The frame: pages, tenant, theme, keys.

const pages = [
  { name: 'query', title: 'Query', key: 'q' },
  { name: 'catalog', title: 'Catalog', key: 'c' },
  { name: 'cardinality', title: 'Cardinality', key: 's' },
];

const main = byId('page');
const nav = byId('nav');
let shown: Page | undefined;
let loading: AbortController | undefined;

async function route(fresh = false) {
  const place = placeOf(location.hash);
  nav.replaceChildren(...pages.map((p) => el('a', { href: `#/${p.name}`, 'aria-current': p.name === place.page ? 'page' : undefined }, p.title)));
  document.title = `${pages.find((p) => p.name === place.page)?.title ?? 'Varve'} · Varve`;
  if (place.page === 'query' && shown && !fresh) {
    shown.changed(place.params);
    return;
  }
  const draft = place.page === 'query' ? shown?.draft() : undefined;
  shown?.destroy();
  shown = undefined;
  loading?.abort();
  const mine = (loading = new AbortController());
  if (place.page === 'query') {
    shown = queryPage(place.params, draft);
    main.replaceChildren(shown.dom);
    shown.focus();
    return;
  }
  main.replaceChildren(el('p', { class: 'muted', role: 'status' }, 'Loading…'));
  try {
    const page =
      place.page === 'catalog' ? await catalogPage(place.rest, mine.signal) : place.page === 'cardinality' ? await cardinalityPage(place.params, mine.signal) : el('p', {}, 'There is no such page. ', el('a', { href: '#/query' }, 'Query'));
    if (!mine.signal.aborted) main.replaceChildren(page);
  } catch (e) {
    if (mine.signal.aborted) return;
    main.replaceChildren(el('div', { class: 'error', role: 'alert' }, el('strong', {}, e instanceof APIError ? e.kind : 'error'), ' ', e instanceof Error ? e.message : String(e)));
  }
}

const themes: Theme[] = ['system', 'light', 'dark'];

function applyTheme() {
  const t = settings.theme();
  if (t === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = t;
  const b = byId('theme');
  b.textContent = { system: '◐', light: '☀', dark: '☾' }[t];
  b.setAttribute('aria-label', `Theme: ${t}`);
}

function nextTheme() {
  settings.setTheme(themes[(themes.indexOf(settings.theme()) + 1) % themes.length]!);
  applyTheme();
  void route(true); // the graph takes its colors when it is made
}

function tenants() {
  byId('tenants').replaceChildren(...settings.tenants().map((t) => el('option', { value: t })));
}

const tenant = byId<HTMLInputElement>('tenant');
tenant.value = settings.tenant();
tenant.placeholder = 'default';
tenant.addEventListener('change', () => {
  const t = tenant.value.trim();
  const good = t === '' || /^[A-Za-z0-9_-]{1,64}$/.test(t);
  tenant.setAttribute('aria-invalid', String(!good));
  tenant.title = good ? '' : 'At most 64 letters, digits, - and _';
  if (!good) return;
  settings.setTenant(t);
  tenants();
  void route(true);
});

const keys = byId<HTMLDialogElement>('keys');
const help: [string, string][] = [
  ['/', 'to the editor'],
  ['Enter', 'run the query'],
  ['Shift-Enter', 'a new line'],
  ['Ctrl-Space', 'complete'],
  ['1 2 3', 'graph, table, explain'],
  ['[ ]', 'earlier, later by half the range'],
  ['n', 'end now'],
  ['q c s', 'query, catalog, cardinality'],
  ['d', 'light, dark, as the system'],
  ['Esc', 'leave the editor'],
];
keys.append(el('h2', { id: 'keys-title' }, 'Keys'), el('dl', { class: 'keylist' }, ...help.flatMap(([k, what]) => [el('dt', {}, ...k.split(' ').map((x) => el('kbd', {}, x))), el('dd', {}, what)])), el('form', { method: 'dialog' }, el('button', { class: 'primary' }, 'Close')));

const strokes: Record<string, () => void> = {
  '/': () => shown?.focus(),
  '?': () => keys.showModal(),
  d: nextTheme,
  '1': () => document.getElementById('tab-graph')?.click(),
  '2': () => document.getElementById('tab-table')?.click(),
  '3': () => document.getElementById('tab-explain')?.click(),
  '[': () => document.querySelector<HTMLElement>('[aria-label="Earlier"]')?.click(),
  ']': () => document.querySelector<HTMLElement>('[aria-label="Later"]')?.click(),
  n: () => document.querySelector<HTMLElement>('[title="End now (n)"]')?.click(),
  ...Object.fromEntries(pages.map((p) => [p.key, () => void (location.hash = `#/${p.name}`)])),
};

document.addEventListener('keydown', (e) => {
  const at = e.target as HTMLElement;
  const typing = at.isContentEditable || ['INPUT', 'SELECT', 'TEXTAREA'].includes(at.tagName);
  if (typing && e.key === 'Escape' && !e.defaultPrevented) at.blur();
  if (typing || keys.open || e.ctrlKey || e.metaKey || e.altKey) return;
  const stroke = strokes[e.key];
  if (!stroke) return;
  e.preventDefault();
  stroke();
});

document.querySelector('.skip')!.addEventListener('click', (e) => {
  e.preventDefault(); // the address says which page it is
  main.focus();
});
byId('theme').addEventListener('click', nextTheme);
byId('help').addEventListener('click', () => keys.showModal());
window.addEventListener('hashchange', () => void route());
applyTheme();
tenants();
void route();
call<{ version: string; revision: string }>('status/buildinfo', {}, undefined, 'GET').then(
  (a) => (byId('about').textContent = `Varve ${a.data.version}`),
  () => undefined, // whatever is wrong, the page itself says it
);
