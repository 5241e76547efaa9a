/** How close draft lengths come to those of somebody who knows every chance, over machines, loads and kinds of text. */

import { testCard } from '@forerunner/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { DraftPlanner } from '../../src/drafting/length/draft-planner.ts';
import { type Machine, simulate, simulateFixed, type Workload } from './simulation.ts';

/** As measured: the embedded int8 pair and its float32 twin on two cores, and the shape of a GPU. */
const MACHINES: Record<string, Machine> = {
  'CPU, int8': {
    target: {
      rows: [1, 2, 3, 5, 8, 16, 32],
      ms: [7.6, 8.2, 9.4, 11.2, 15, 26, 45],
      ms_per_sequence: 0.3,
      ms_per_1024_cached_tokens: 0,
    },
    draft: { rows: [1, 2, 8, 16], ms: [0.5, 0.7, 1.9, 3.9], ms_per_sequence: 0.1, ms_per_1024_cached_tokens: 0 },
    targetTripMs: 1,
    draftTripMs: 1.2,
  },
  'CPU, float32': {
    target: {
      rows: [1, 2, 5, 8, 16, 32],
      ms: [38, 40, 43, 46, 55, 80],
      ms_per_sequence: 0.3,
      ms_per_1024_cached_tokens: 0,
    },
    draft: { rows: [1, 2, 8, 16], ms: [0.5, 0.7, 1.9, 3.9], ms_per_sequence: 0.1, ms_per_1024_cached_tokens: 0 },
    targetTripMs: 1,
    draftTripMs: 1.2,
  },
  GPU: {
    target: {
      rows: [1, 2, 32, 64, 128],
      ms: [14, 14.1, 15, 17, 22],
      ms_per_sequence: 0.05,
      ms_per_1024_cached_tokens: 0,
    },
    draft: { rows: [1, 32, 64], ms: [2, 2.2, 2.6], ms_per_sequence: 0.02, ms_per_1024_cached_tokens: 0 },
    targetTripMs: 1,
    draftTripMs: 1,
  },
};
/** Draft and target on the same cores: no cost curve says that. */
const CROWDED: Machine = { ...MACHINES['CPU, int8']!, draftingStretch: 1.4 };
const CLIENTS = [1, 2, 4, 8];
const steady = (chance: number) => () => chance;
const TEXTS: Record<string, Workload['acceptance']> = {
  'guesses mostly kept': steady(0.85),
  'guesses kept as often as not': steady(0.5),
  'guesses hardly ever kept': steady(0.1),
  'guesses kept, then not, then again': (_client, round) => (round % 200 < 100 ? 0.8 : 0.15),
  'some clients guess well, some badly': (client) => (client % 2 === 0 ? 0.85 : 0.2),
};

const run = { numRounds: 400, maxDraftTokens: 8 };

describe('draft lengths over 400 rounds', () => {
  const table: Record<string, object> = {};
  afterAll(() => console.table(table));

  const cases = Object.keys(MACHINES).flatMap((machine) =>
    CLIENTS.flatMap((numClients) => Object.keys(TEXTS).map((text) => ({ machine, numClients, text }))),
  );
  it.each(cases)('$machine, $numClients clients, $text', ({ machine, numClients, text }) => {
    const { toOracle, toAlone } = simulate(MACHINES[machine]!, { ...run, numClients, acceptance: TEXTS[text]! });
    table[`${machine}, ${numClients} clients, ${text}`] = {
      'to the oracle': toOracle.toFixed(3),
      'to the target alone': toAlone.toFixed(2),
    };
    // What changes has to be learned again each time.
    expect(toOracle).toBeGreaterThan(text.includes('then not') ? 0.88 : 0.93);
    expect(toAlone).toBeGreaterThan(0.98);
  });

  it.each([2, 4])('of always %i break both bounds, on some machine and under some load', (length) => {
    const outcomes = cases.map(({ machine, numClients, text }) =>
      simulateFixed(MACHINES[machine]!, { ...run, numClients, acceptance: TEXTS[text]! }, length),
    );
    expect(Math.min(...outcomes.map(({ toOracle }) => toOracle))).toBeLessThan(0.8);
    expect(Math.min(...outcomes.map(({ toAlone }) => toAlone))).toBeLessThan(0.8);
  });
});

describe('where rounds that draft take longer than their parts say', () => {
  const cases = CLIENTS.flatMap((numClients) => Object.keys(TEXTS).map((text) => ({ numClients, text })));
  const outcome = ({ numClients, text }: (typeof cases)[number], change: Partial<Workload> = {}) =>
    simulate(CROWDED, { ...run, numClients, acceptance: TEXTS[text]!, ...change });

  it.each(cases)('$numClients clients, $text: measured, and no loss but what finding out costs', (one) => {
    expect(outcome(one).toAlone).toBeGreaterThan(0.95);
  });

  it('a planner that goes by the parts alone loses', () => {
    const worst = Math.min(...cases.map((one) => outcome(one, { hidesRoundTimes: true }).toAlone));
    expect(worst).toBeLessThan(0.85);
  });
});

it('rounds whose guesses did not come tell nothing of the target alone, nor of drafting', () => {
  const { target, draft } = MACHINES['CPU, int8']!;
  const draftCard = testCard('draft-service', { pass_costs: draft });
  const replica = { card: testCard('target-service', { pass_costs: target }) };
  const planner = new DraftPlanner(
    () => draftCard,
    () => 0,
  );
  const answer = planner.open({ temperature: 0, maxNewTokens: 1000, maxDraftTokens: 8, replica: () => replica });
  const timing = { queue_ms: 0, model_ms: 8, total_ms: 8 };
  const round = { origin: null, limit: 0, numDraftTokens: 0, numAcceptedTokens: 0, numReusedTokens: 0, draft: null };
  const observe = (index: number, roundMs: number) =>
    answer.observe({ ...round, index, numTokens: 32 + index, target: { callMs: 9, timing }, roundMs });
  observe(0, 0);
  for (let index = 1; index < 40; index++) {
    expect(answer.ofDraft().numSpeculativeTokens).toBeGreaterThan(0);
    observe(index, 1000);
  }
  expect(planner.roundTimes(replica, 1).stretch('drafting')).toBe(1);
  expect(planner.roundTimes(replica, 1).stretch('alone')).toBe(1);
});

describe('under load', () => {
  const machine = MACHINES['CPU, int8']!;

  it('guesses go to those whose guesses are kept', () => {
    const { lengths } = simulate(machine, {
      ...run,
      numClients: 2,
      acceptance: TEXTS['some clients guess well, some badly']!,
    });
    const mean = (client: number) =>
      lengths.slice(100).reduce((sum, of) => sum + of[client]!, 0) / (lengths.length - 100);
    expect(mean(0)).toBeGreaterThan(1);
    expect(mean(1)).toBeLessThan(0.3);
  });

  it('a draft that never helps is tried again, ever more seldom', () => {
    const { lengths } = simulate(machine, { ...run, numRounds: 4000, numClients: 1, acceptance: () => 0 });
    const tried = (from: number, to: number) => lengths.slice(from, to).filter(([length]) => length! > 0).length;
    expect(tried(200, 2100)).toBeGreaterThan(0);
    expect(tried(2100, 4000)).toBeLessThan(tried(200, 2100));
  });
});
