import { expect, test } from 'vitest';
import { compare } from './dom';

test('a column is sorted, whatever is in it', () => {
  expect([NaN, Infinity, 3, NaN, -Infinity, Infinity, -5].sort(compare)).toEqual([NaN, NaN, -Infinity, -5, 3, Infinity, Infinity]);
  expect(['b', 'a'].sort(compare)).toEqual(['a', 'b']);
});
