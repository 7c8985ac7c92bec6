import { expect, test } from 'vitest';
import { quoted } from './utf8';

test.each([
  ['up', '', undefined],
  ['my.metric', '', '{"my.metric"}'],
  ['ünï "x"', 'sum(rate(', '{"ünï \\"x\\""}'],
  ['my.metric', 'up{job="a"} + ', '{"my.metric"}'],
  ['k.1', 'up{', '"k.1"'],
  ['k.1', 'up{job="a", ', '"k.1"'],
  ['k.1', 'sum by (job, ', '"k.1"'],
  ['k.1', 'sum by (job) (', '{"k.1"}'],
])('%s behind %s', (name, before, want) => expect(quoted(name, before)).toBe(want));
