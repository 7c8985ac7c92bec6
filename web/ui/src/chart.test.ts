import { expect, test, vi } from 'vitest';

vi.mock('uplot', () => ({ default: class {} }));
vi.mock('uplot/dist/uPlot.min.css', () => ({}));
const { color, grid } = await import('./chart');

test('points fall on the grid, and what is not a number is a gap', () => {
  const [at, rows] = grid([{ metric: {}, values: [[100, '1'], [120, '+Inf'], [130.4, '3'], [140, 'NaN'], [999, '9']] }], 100, 140, 10);
  expect(at).toEqual([100, 110, 120, 130, 140]);
  expect(rows).toEqual([[1, null, null, 3, null]]);
});

test('neighbours differ in color', () => {
  const seen = new Set(Array.from({ length: 100 }, (_, i) => color(i)));
  expect(seen.size).toBe(100);
});
