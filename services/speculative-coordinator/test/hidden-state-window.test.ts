/** What the window holds against a plain list of rows, and how much memory that takes. */
import { CounterRng } from '@forerunner/sampling';
import { describe, expect, it } from 'vitest';
import { HiddenStateWindow } from '../src/drafting/hidden-state-window.ts';

const WIDTH = 3;
const ROW_BYTES = 2 * WIDTH;

const rowsOf = (values: readonly number[]) =>
  Float16Array.from(values.flatMap((value) => [value, value + 1, value + 2]));
const between = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('the window of hidden states', () => {
  it('never takes more memory than its budget, however the rows come', () => {
    const budget = 1000 * ROW_BYTES + 5; // no whole number of rows
    const perRound = new HiddenStateWindow(WIDTH, budget);
    let most = 0;
    for (let position = 0; position < 5000; position += 3) {
      perRound.append(position, rowsOf(between(0, 3)));
      most = Math.max(most, perRound.numBytes);
    }
    // All of a long text at once, as after a loss of the target's; into an empty window and into a full one.
    const atOnce = new HiddenStateWindow(WIDTH, budget);
    atOnce.append(0, rowsOf(between(0, 2000)));
    perRound.append(0, rowsOf(between(0, 2000)));
    most = Math.max(most, atOnce.numBytes, perRound.numBytes);
    expect(most).toBeLessThanOrEqual(budget);
    for (const window of [atOnce, perRound]) {
      expect([window.firstUsable, window.end]).toEqual([1000, 2000]); // and uses it
      expect(window.slice(1000, 2000)).toEqual(rowsOf(between(1000, 2000)));
    }
  });

  it('takes little memory for a short text', () => {
    const window = new HiddenStateWindow(WIDTH, 1 << 20);
    window.append(0, rowsOf(between(0, 10)));
    expect(window.numBytes).toBeLessThan(1 << 12);
  });

  it('holds one row where the budget is smaller than that', () => {
    const window = new HiddenStateWindow(WIDTH, 1);
    window.append(0, rowsOf([7, 8]));
    expect(window.slice(1, 2)).toEqual(rowsOf([8]));
    expect(window.numBytes).toBe(ROW_BYTES);
  });

  it('gives what came last for each position, after any order of appends', () => {
    const rng = new CounterRng(1);
    const below = (n: number, i: number, stream: number) => Math.floor(rng.uniform(stream, i) * n);
    for (const maxRows of [1, 7, 300, 700]) {
      const window = new HiddenStateWindow(WIDTH, maxRows * ROW_BYTES);
      const text: number[] = []; // the value of each position's row
      for (let i = 0; i < 400; i++) {
        const position = Math.max(0, text.length - below(4, i, 1));
        const values = Array.from({ length: below(9, i, 2) + (i % 97 === 0 ? 400 : 0) }, (_, j) => (31 * i + j) % 1000);
        text.splice(position, text.length, ...values);
        window.append(position, rowsOf(values));
        expect(window.end).toBe(text.length);
        expect(window.end - window.firstUsable).toBeLessThanOrEqual(maxRows);
        expect(window.slice(window.firstUsable, window.end)).toEqual(rowsOf(text.slice(window.firstUsable)));
        expect(window.slice(window.firstUsable - 1, window.end)).toBeNull();
      }
    }
  });
});
