// What pages are made of.

type Child = Node | string | number | null | undefined | false;
type Props = { [name: string]: unknown };

/** el makes an element. Properties beginning with "on" are listeners, "class" and names with a dash are attributes, others are set on the element. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: (Child | Child[])[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on') && typeof value === 'function') e.addEventListener(name.slice(2), value as EventListener);
    else if (name === 'class' || name === 'role' || name === 'for' || name.includes('-')) e.setAttribute(name, String(value));
    else (e as unknown as Props)[name] = value;
  }
  e.append(...children.flat().filter((c): c is Node | string | number => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c))));
  return e;
}

/** byId returns an element of index.html. */
export function byId<T extends HTMLElement>(id: string): T {
  const e = document.getElementById(id);
  if (!e) throw new Error(`no element ${id}`);
  return e as T;
}

export interface Column<T> {
  title: string;
  /** number: aligned to the right. */
  number?: boolean;
  /** value is what it is sorted by. */
  value: (row: T) => string | number;
  show?: (row: T) => Node | string;
}

/** table is sorted by a click on (or Enter at) a head, and shows the first rows of many. */
export function table<T>(columns: Column<T>[], rows: T[], caption: string, most = 500): HTMLElement {
  let by = -1;
  let down = false;
  const body = el('tbody');
  const more = el('p', { class: 'muted' });
  const heads = columns.map((c, i) =>
    el('th', { scope: 'col', class: c.number ? 'num' : undefined }, el('button', { type: 'button', onclick: () => sort(i) }, c.title)),
  );
  const fill = () => {
    const sorted = by < 0 ? rows : rows.toSorted((a, b) => compare(columns[by]!.value(a), columns[by]!.value(b)) * (down ? -1 : 1));
    body.replaceChildren(
      ...sorted.slice(0, most).map((r) => el('tr', {}, ...columns.map((c) => el('td', { class: c.number ? 'num' : undefined }, c.show ? c.show(r) : String(c.value(r)))))),
    );
    more.textContent = rows.length > most ? `The first ${most} of ${rows.length}.` : '';
  };
  const sort = (i: number) => {
    down = by === i ? !down : columns[i]!.number === true;
    by = i;
    heads.forEach((h, j) => (j === i ? h.setAttribute('aria-sort', down ? 'descending' : 'ascending') : h.removeAttribute('aria-sort')));
    fill();
  };
  fill();
  return el('div', { class: 'scroll' }, el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, ...heads)), body), more);
}

export function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') {
    // NaN is below all numbers, so that there is an order.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(b)) - Number(Number.isNaN(a));
    return a < b ? -1 : Number(a > b);
  }
  return String(a).localeCompare(String(b));
}
