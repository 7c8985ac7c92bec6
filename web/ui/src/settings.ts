// What the browser remembers: theme, tenant, the last queries. Where it may not, it lasts as long as the page.

const memory = new Map<string, string>();

function get(name: string): string | null {
  try {
    return localStorage.getItem(`varve.${name}`);
  } catch {
    return memory.get(name) ?? null;
  }
}

function set(name: string, value: string): void {
  memory.set(name, value);
  try {
    localStorage.setItem(`varve.${name}`, value);
  } catch {
    // private window
  }
}

function list(name: string): string[] {
  try {
    const v: unknown = JSON.parse(get(name) ?? '[]');
    return Array.isArray(v) ? v.filter((s): s is string => typeof s === 'string') : [];
  } catch {
    return [];
  }
}

function push(name: string, value: string, most: number): void {
  set(name, JSON.stringify([value, ...list(name).filter((v) => v !== value)].slice(0, most)));
}

export type Theme = 'system' | 'light' | 'dark';

export const settings = {
  theme: (): Theme => (['light', 'dark'].includes(get('theme') ?? '') ? (get('theme') as Theme) : 'system'),
  setTheme: (t: Theme) => set('theme', t),
  tenant: () => get('tenant') ?? '',
  setTenant: (t: string) => {
    set('tenant', t);
    if (t) push('tenants', t, 20);
  },
  tenants: () => list('tenants'),
  queries: () => list('queries'),
  addQuery: (q: string) => push('queries', q, 50),
};
