import { IncrementalDecoder } from '@forerunner/tokenizer';
import { describe, expect, it } from 'vitest';
import { Output } from '../src/generation/output.ts';

/** Each token is the text at its index; 0 ends the sequence. */
function outputOf(vocabulary: string[], rules: { stop?: string[]; maxNewTokens?: number }) {
  const decode = (ids: readonly number[]) => ids.map((id) => vocabulary[id]).join('');
  return new Output({ maxNewTokens: 50, stop: [], stopTokenIds: [0], ...rules }, new IncrementalDecoder(decode));
}

function run(vocabulary: string[], rules: Parameters<typeof outputOf>[1], ids: number[]) {
  const output = outputOf(vocabulary, rules);
  const pieces: string[] = [];
  for (const id of ids) {
    if (output.finishReason) break;
    output.push(id, 'accepted');
    pieces.push(output.takeReleasable());
  }
  return { output, pieces };
}

describe('stop strings', () => {
  const words = ['', 'one ', 'two ', 'th', 'ree', ' four'];

  it('hold back text that may be the beginning of one, and release it when it is not', () => {
    const { pieces, output } = run(words, { stop: ['three five'] }, [1, 3, 4, 5, 1]);
    expect(pieces).toEqual(['one ', '', '', 'three four'.slice(0, 10), 'one ']);
    expect(output.text).toBe('one three fourone ');
  });

  it('never let any of their text out', () => {
    const { pieces, output } = run(words, { stop: ['three'] }, [1, 3, 4, 5]);
    expect(pieces.join('')).toBe('one ');
    expect(output.text).toBe('one ');
    expect(output.finishReason).toBe('stop');
    expect(output.tokenIds).toEqual([1, 3, 4]);
  });

  it('win by position when several match', () => {
    const { output } = run(words, { stop: ['four', 'wo'] }, [1, 2, 5]);
    expect(output.text).toBe('one t');
  });

  it('beat the length when both come with the last token', () => {
    const { output } = run(words, { stop: ['ree'], maxNewTokens: 2 }, [3, 4]);
    expect(output.finishReason).toBe('stop');
    expect(output.text).toBe('th');
  });

  it('may repeat their own beginning', () => {
    const { output } = run(['', 'a', 'b'], { stop: ['aab'] }, [1, 1, 1, 2, 1]);
    expect(output.text).toBe('a');
  });
});

describe('the end', () => {
  it('releases what was held back', () => {
    const { pieces, output } = run(['', 'x', 'ab'], { stop: ['abc'], maxNewTokens: 2 }, [1, 2]);
    expect(pieces).toEqual(['x', 'ab']);
    expect(output.finishReason).toBe('length');
  });

  it('keeps the end-of-sequence token among the ids and out of the text', () => {
    const { output } = run(['</s>', 'x'], {}, [1, 0]);
    expect(output.tokenIds).toEqual([1, 0]);
    expect(output.text).toBe('x');
  });

  it('takes no token after it', () => {
    const { output } = run(['', 'x'], { maxNewTokens: 1 }, [1]);
    expect(() => output.push(1, 'bonus')).toThrow('ended');
  });
});
