/** Regular expressions as grammars, against the language's own. */
import { CounterRng } from '@forerunner/sampling';
import { beforeAll, describe, expect, it } from 'vitest';
import { jsonOf, regexOf } from '../../src/generation/grammar/structured-output.ts';
import type { GrammarHost } from '../../src/generation/grammar/thread/grammar-host.ts';
import { accepts, drawText, openHost } from './matching.ts';

let host: GrammarHost;
beforeAll(async () => {
  host = await openHost();
});

const PATTERNS: [pattern: string, matches: string[], others: string[]][] = [
  ['a|bc', ['a', 'bc'], ['b', 'abc', '']],
  ['(ab?c*){2}', ['aa', 'abcca'], ['a', 'aaa']],
  ['\\d{2,3}(?:\\.\\d)?', ['12', '123.4'], ['1', '12.']],
  ['[^a-z\\d]+', ['A_', 'é€😀'], ['a', '1', '']],
  ['.+', ['a b', 'é"\\'], ['', 'a\nb']],
  ['\\s\\S\\w\\W', [' a_-', '\u00a0é9 '], ['aa_-']],
  ['[à-öø-ÿ]{2}', ['éü'], ['e', 'é÷']],
  ['[\\u4e00-\\u9fa5]x', ['中x'], ['ax']],
  ['x{0}y', ['y'], ['xy']],
  ['(?<year>\\d{4})-(0[1-9]|1[0-2])', ['2024-12'], ['2024-13']],
];

describe.each(PATTERNS)('%s', (pattern, matches, others) => {
  it('allows what the language itself matches, and nothing else', async () => {
    const own = new RegExp(`^(?:${pattern})$`, 'u');
    const { ebnf } = regexOf(pattern, 'x');
    for (const text of [...matches, ...others]) {
      expect([text, await accepts(host, ebnf, text)]).toEqual([text, own.test(text)]);
    }
    const rng = new CounterRng(3);
    let i = 0;
    for (let n = 0; n < 5; n++) {
      const text = await drawText(host, ebnf, () => rng.uniform(1, i++), 60);
      if (text !== null) expect([text, own.test(text)]).toEqual([text, true]);
    }
  });
});

describe('what takes too long', () => {
  it.each([
    ['([a-z]{1,60}){1,60}', /too many characters and repetitions/],
    [`(${'[a-cx-z]|'.repeat(200)}a){1,200}`, /too many repetitions/],
    ['(.*a.{12}){3}', /more than 600 states/],
  ])('is refused: %s', (pattern, why) => {
    expect(() => regexOf(pattern, 'x')).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(why) }),
    );
  });

  it('is a schema whose values have no bottom', () => {
    const deep = JSON.parse(`${'['.repeat(20_000)}${']'.repeat(20_000)}`);
    expect(() => jsonOf({ const: deep }, 'x')).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
