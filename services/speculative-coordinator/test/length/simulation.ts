/**
 * Answers that share passes, in virtual time: what guesses do follows from chances, what passes take from cost curves.
 * The planner under test sees what the coordinator would see, and nothing else. Deterministic.
 */
import type { PassCosts } from '@forerunner/protocol';
import { passMs } from '@forerunner/protocol';
import { seededRandom, testCard } from '@forerunner/testkit';
import { DraftPlanner } from '../../src/drafting/length/draft-planner.ts';

export interface Machine {
  readonly target: PassCosts;
  readonly draft: PassCosts;
  readonly targetTripMs: number;
  readonly draftTripMs: number;
  /** By how much rounds with guesses take longer than their parts say, which no cost curve tells; 1 if absent. */
  readonly draftingStretch?: number;
}

export interface Workload {
  readonly numClients: number;
  /** Chance that a guess is kept when all before it were, by client and round. */
  readonly acceptance: (client: number, round: number) => number;
  readonly numRounds: number;
  readonly maxDraftTokens: number;
  /** The planner learns what parts of a round take, never how long the round was. */
  readonly hidesRoundTimes?: boolean;
}

/** Who says how many guesses a client's next proposal has. */
type Lengths = (client: number, round: number) => number;

const MAX_ITEMS = 8;
const PROMPT_TOKENS = 32;

/** What a round of all clients takes, and what each of its proposals brings. */
function roundOf(
  machine: Machine,
  workload: Workload,
  lengths: readonly number[],
  round: number,
  random: () => number,
) {
  const numRows = lengths.reduce((sum, length) => sum + 1 + length, 0);
  const numPasses = Math.max(1, lengths.length / MAX_ITEMS);
  const targetMs =
    numPasses *
    passMs(machine.target, {
      numRows: numRows / numPasses,
      numSequences: lengths.length / numPasses,
      numCachedTokens: 0,
    });
  let draftMs = 0;
  for (let i = 0; i < Math.max(...lengths); i++) {
    const numSequences = lengths.filter((length) => length > i).length;
    draftMs += passMs(machine.draft, {
      numRows: i === 0 ? 2 * numSequences : numSequences,
      numSequences,
      numCachedTokens: 0,
    });
  }
  const kept = lengths.map((length, client) => {
    let count = 0;
    while (count < length && random() < workload.acceptance(client, round)) count++;
    return count;
  });
  const tripMs = machine.targetTripMs + (draftMs > 0 ? machine.draftTripMs : 0);
  const stretch = draftMs > 0 ? (machine.draftingStretch ?? 1) : 1;
  return { kept, targetMs, draftMs, roundMs: stretch * (targetMs + draftMs + tripMs) };
}

/** Tokens per millisecond under lengths that are known beforehand. */
function rateOf(machine: Machine, workload: Workload, lengthsOf: Lengths, seed: number): number {
  let [tokens, ms] = [0, 0];
  const random = seededRandom(seed);
  for (let round = 0; round < workload.numRounds; round++) {
    const lengths = Array.from({ length: workload.numClients }, (_, client) => lengthsOf(client, round));
    const { kept, roundMs } = roundOf(machine, workload, lengths, round, random);
    tokens += kept.reduce((sum, count) => sum + count + 1, 0);
    ms += roundMs;
  }
  return tokens / ms;
}

/** Knows every chance, and takes for each round the one length for all that brings the most tokens per millisecond. */
function oracleOf(machine: Machine, workload: Workload): Lengths {
  const best = new Map<number, number>();
  return (_client, round) => {
    const known = best.get(round);
    if (known !== undefined) return known;
    let [bestLength, bestRate] = [0, 0];
    for (let length = 0; length <= workload.maxDraftTokens; length++) {
      const lengths = Array<number>(workload.numClients).fill(length);
      const { roundMs } = roundOf(machine, workload, lengths, round, () => 1);
      const tokens = lengths.reduce((sum, _, client) => {
        const chance = workload.acceptance(client, round);
        let expected = 1;
        for (let i = 1; i <= length; i++) expected += chance ** i;
        return sum + expected;
      }, 0);
      if (tokens / roundMs > bestRate) [bestLength, bestRate] = [length, tokens / roundMs];
    }
    best.set(round, bestLength);
    return bestLength;
  };
}

function planned(machine: Machine, workload: Workload, seed: number): { rate: number; lengths: number[][] } {
  let nowMs = 0;
  const draft = testCard('draft-service', { pass_costs: machine.draft, max_batch_items: MAX_ITEMS });
  const replica = { card: testCard('target-service', { pass_costs: machine.target, max_batch_items: MAX_ITEMS }) };
  const planner = new DraftPlanner(
    () => draft,
    () => nowMs,
  );
  const policies = Array.from({ length: workload.numClients }, () =>
    planner.open({
      temperature: 0,
      maxNewTokens: 10 * workload.numRounds,
      maxDraftTokens: workload.maxDraftTokens,
      fixedConfidence: 0,
      replica: () => replica,
    }),
  );
  const timing = { queue_ms: 0, model_ms: 0, total_ms: 0 };
  const prompt = {
    index: 0,
    origin: null,
    limit: 0,
    numDraftTokens: 0,
    numAcceptedTokens: 0,
    numReusedTokens: 0,
    draft: null,
    roundMs: 0,
  };
  for (const policy of policies) {
    policy.observe({ ...prompt, numTokens: PROMPT_TOKENS, target: { callMs: machine.targetTripMs, timing } });
  }
  const random = seededRandom(seed);
  const numTokens = policies.map(() => PROMPT_TOKENS);
  const all: number[][] = [];
  let tokens = 0;
  for (let round = 0; round < workload.numRounds; round++) {
    const lengths = policies.map((policy) => policy.ofDraft().numSpeculativeTokens);
    all.push(lengths);
    const { kept, targetMs, draftMs, roundMs } = roundOf(machine, workload, lengths, round, random);
    nowMs += roundMs;
    policies.forEach((policy, client) => {
      const [length, count] = [lengths[client]!, kept[client]!];
      tokens += count + 1;
      numTokens[client]! += count + 1;
      policy.observe({
        index: round + 1,
        origin: length > 0 ? 'draft' : null,
        limit: length,
        numDraftTokens: length,
        numAcceptedTokens: count,
        numReusedTokens: 0,
        numTokens: numTokens[client]!,
        target: { callMs: targetMs + machine.targetTripMs, timing: { ...timing, model_ms: targetMs } },
        draft:
          length > 0
            ? { callMs: draftMs + machine.draftTripMs, timing: { ...timing, model_ms: draftMs, total_ms: draftMs } }
            : null,
        roundMs: workload.hidesRoundTimes ? 1 : roundMs,
      });
    });
  }
  for (const policy of policies) policy.close();
  return { rate: tokens / nowMs, lengths: all };
}

export interface Outcome {
  /** Rates to that of the oracle. */
  readonly toOracle: number;
  readonly toAlone: number;
  readonly lengths: readonly (readonly number[])[];
}

/** Of lengths that nobody plans. */
export function simulateFixed(
  machine: Machine,
  workload: Workload,
  length: number,
  seed = 1,
): Omit<Outcome, 'lengths'> {
  const rate = rateOf(machine, workload, () => length, seed);
  return {
    toOracle: rate / rateOf(machine, workload, oracleOf(machine, workload), seed),
    toAlone: rate / rateOf(machine, workload, () => 0, seed),
  };
}

export function simulate(machine: Machine, workload: Workload, seed = 1): Outcome {
  const { rate, lengths } = planned(machine, workload, seed);
  return {
    toOracle: rate / rateOf(machine, workload, oracleOf(machine, workload), seed),
    toAlone: rate / rateOf(machine, workload, () => 0, seed),
    lengths,
  };
}
