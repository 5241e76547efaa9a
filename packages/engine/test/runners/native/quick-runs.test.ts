import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { QuickRuns } from '../../../src/runners/native/quick-runs.ts';
import type { RunArguments } from '../../../src/runners/native/run-arguments.ts';

let clockMs = 0;
beforeEach(() => void vi.spyOn(performance, 'now').mockImplementation(() => clockMs));
afterEach(() => void vi.restoreAllMocks());

/** Runs that take as long as they are told, and a note of each: on this thread or elsewhere. */
function fakeRun(runMs: () => number) {
  const notes: string[] = [];
  const busy = (note: string) => {
    notes.push(note);
    clockMs += runMs();
  };
  const run = { runSync: () => busy('here'), run: async () => busy('elsewhere') } as unknown as RunArguments;
  return { run, notes };
}

it('keeps a run here once one was quick, round after round', async () => {
  const { run, notes } = fakeRun(() => 0.1);
  const runs = new QuickRuns();
  for (let round = 0; round < 3; round++) {
    await runs.run(run, null as never, 1);
    await turn();
  }
  expect(notes).toEqual(['elsewhere', 'here', 'here']);
});

it('sends runs away that are slow or have many rows', async () => {
  let runMs = 2;
  const { run, notes } = fakeRun(() => runMs);
  const runs = new QuickRuns();
  await runs.run(run, null as never, 1);
  await turn();
  await runs.run(run, null as never, 1);
  runMs = 0.1;
  await turn();
  await runs.run(run, null as never, 1);
  await turn();
  await runs.run(run, null as never, 5);
  await runs.run(run, null as never, 1);
  expect(notes).toEqual(['elsewhere', 'elsewhere', 'elsewhere', 'elsewhere', 'here']);
});

it('lets the event loop turn after some milliseconds of runs', async () => {
  const { run, notes } = fakeRun(() => 0.6);
  const runs = new QuickRuns();
  await runs.run(run, null as never, 1);
  await turn();
  for (let i = 0; i < 10; i++) await runs.run(run, null as never, 1);
  expect(notes.slice(1)).toEqual([...Array(9).fill('here'), 'elsewhere']); // 9 x 0.6 = 5.4 ms
});
