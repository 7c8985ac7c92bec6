import { expect, test } from 'vitest';
import { bytes, duration, many, number, parseDuration, series, short, stepFor, time } from './format';

test.each([['15s', 15], ['1h30m', 5400], ['1.5h', 5400], ['90', 90], ['2w', 1_209_600], ['250ms', 0.25], ['', NaN], ['5x', NaN], ['-5m', NaN], ['5m junk', NaN]])('parseDuration(%s)', (text, want) => {
  expect(parseDuration(text)).toBe(want);
});

test.each([[15, '15s'], [5400, '1h30m'], [86_400, '1d'], [604_800, '1w'], [90_061, '1d1h1m1s'], [31_536_000, '1y']])('duration(%d)', (n, want) => {
  expect(duration(n)).toBe(want);
  expect(parseDuration(want)).toBe(n);
});

test('a range makes at most 250 points', () => {
  for (let range = 1; range < 1e9; range = Math.ceil(range * 1.7)) expect(range / stepFor(range)).toBeLessThanOrEqual(250);
});

test('numbers', () => {
  expect(['+Inf', '-Inf', 'NaN', '1e+308', '-0.5'].map(number)).toEqual([Infinity, -Infinity, NaN, 1e308, -0.5]);
  expect(bytes(0)).toBe('0 B');
  expect(bytes(1536)).toBe('1.50 KiB');
  expect(many(1, 'day')).toBe('1 day');
  expect(many(1200, 'day')).toBe('1,200 days');
  expect(short(12345)).toBe('12.35k');
  expect(short(0.00001)).toBe('1.00e-5');
  expect(short(-2e9)).toBe('-2G');
  expect(short(0)).toBe('0');
  expect(time(0)).toBe('1970-01-01 00:00:00');
});

test('series as PromQL reads them', () => {
  expect(series({ __name__: 'up' })).toBe('up');
  expect(series({ __name__: 'up', job: 'a"b\\' })).toBe('up{job="a\\"b\\\\"}');
  expect(series({ __name__: 'my.metric', 'k.1': 'v' })).toBe('{"my.metric", "k.1"="v"}');
  expect(series({})).toBe('{}');
});
