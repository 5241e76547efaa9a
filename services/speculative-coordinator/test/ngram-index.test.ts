/** The index against brute force, and its bounds. */
import { seededRandom } from '@forerunner/testkit';
import { describe, expect, it } from 'vitest';
import { MAX_MATCH, NgramIndex, type Occurrence, type Search } from '../src/drafting/lookup/ngram-index.ts';

/** Uniform whole numbers below `limit`, the same every time. */
function seeded(seed: number): (limit: number) => number {
  const random = seededRandom(seed);
  return (limit) => Math.floor(random() * limit);
}

const order = (near: number | null, end: number): number =>
  near === null ? -end : end > near ? end - near : 1e9 + end;

function bruteForce(text: Int32Array, query: Int32Array, { minMatch, near }: Search): Occurrence | null {
  let best: Occurrence | null = null;
  for (let end = minMatch; end < text.length; end++) {
    let length = 0;
    while (length < MAX_MATCH && length < end && text[end - 1 - length] === query.at(-1 - length)) length++;
    if (length < minMatch) continue;
    const isBetter =
      !best || length > best.length || (length === best.length && order(near, end) < order(near, best.end));
    if (isBetter) best = { end, length };
  }
  return best;
}

/** Random tokens, with pieces of what came before copied into them. */
function randomText(next: (limit: number) => number, length: number, vocabSize: number): Int32Array {
  const tokens: number[] = [];
  while (tokens.length < length) {
    const from = next(tokens.length + 1);
    if (next(4) === 0) tokens.push(...tokens.slice(from, from + next(60)));
    else tokens.push(next(vocabSize));
  }
  return Int32Array.from(tokens.slice(0, length));
}

describe('the index of a text', () => {
  it.each([2, 3, 10, 500, 50_000])(
    'finds what brute force finds, in itself as it grows and in others (%i different tokens)',
    (vocabSize) => {
      const next = seeded(vocabSize);
      for (let run = 0; run < 8; run++) {
        const text = randomText(next, 300, vocabSize);
        const own = new NgramIndex();
        const other = new NgramIndex();
        other.extend(text);
        let numFound = 0;
        for (let end = 1 + next(5); end <= text.length; end += 1 + next(3)) {
          const query = text.subarray(0, end);
          const search = { minMatch: 2 + next(3), near: next(2) === 0 ? null : next(end) };
          own.extend(query);
          const found = own.find(query, search);
          if (found) numFound++;
          expect(found).toEqual(bruteForce(query, query, search));
          const strange = randomText(next, 12, vocabSize);
          expect(other.find(strange, search)).toEqual(bruteForce(text, strange, search));
        }
        expect(numFound).toBeGreaterThan(10);
      }
    },
  );

  it('finds nothing in an empty text, for an empty query, and for one token', () => {
    const search = { minMatch: 2, near: null };
    const index = new NgramIndex();
    expect(index.find(Int32Array.of(1, 2, 3), search)).toBeNull();
    index.extend(Int32Array.of(1, 2, 3, 1));
    expect(index.find(new Int32Array(0), search)).toBeNull();
    expect(index.find(Int32Array.of(1), search)).toBeNull();
  });

  it('stays quick on a text that is the same token over and over', () => {
    const text = new Int32Array(200_000).fill(7);
    const index = new NgramIndex();
    for (let end = 1000; end <= text.length; end += 1000) {
      index.extend(text.subarray(0, end));
      // Without a bound on the places that are compared this would be some 20 million of them.
      expect(index.find(text.subarray(0, end), { minMatch: 2, near: 1 })?.length).toBe(MAX_MATCH);
    }
  });
});
