/**
 * Rounds of *rejection* and *block*, as far as a receipt goes: it holds the probability of each guess, not the draft's
 * whole distribution. Accept tests of rejection, block's test of the last guess, bonus tokens, tokens of rounds without
 * guesses, and what follows a refused guess that was certain are computed again, given the stated probabilities; of what
 * is left only the support is checked. Formulas: verify.ts of packages/sampling.
 */
import {
  CounterRng,
  drawFrom,
  oneHotDistribution,
  probOf,
  residualDistribution,
  STREAM,
  type TokenDistribution,
  type WeightedTokens,
} from '@forerunner/sampling';
import { differs, type Finding, RECOMPUTED } from './findings.ts';
import { type RoundFacts, textBefore } from './round-facts.ts';

const NEEDS_DRAFT = "whether it had to be kept or drawn depends on the draft's whole distribution";

/** [num_accepted_tokens + 1]. */
export function checkVerdict(facts: RoundFacts, rule: 'rejection' | 'block'): Finding[] {
  const { round, seed, position, sampler, params } = facts;
  const { draft_token_ids: guesses, draft_probs: draftProbs, num_accepted_tokens: numAccepted } = round;
  const k = guesses.length;
  const rng = new CounterRng(seed);
  const p = Array.from({ length: numAccepted + 1 }, (_, place) =>
    sampler.distribution(facts.logits(place), params, textBefore(facts, place)),
  );
  const tests: AcceptTest[] = [];
  let share = 1; // r of block verification, 1 throughout for rejection
  for (let i = 0; i < Math.min(k, numAccepted + 1); i++) {
    const [guess, q] = [guesses[i]!, draftProbs?.[i] ?? 1];
    const passes = (share * probOf(p[i]!, guess)) / q;
    tests.push({ u: rng.uniform(STREAM.acceptance, position + i, i), passes: Math.min(1, passes) });
    if (rule === 'block' && i < numAccepted) share = Math.min(1, passes);
  }
  const isTold = (i: number) => rule === 'rejection' || i === k - 1;
  const findings = tests.slice(0, numAccepted).map((test, i) => acceptedFinding(test, p[i]!, guesses[i]!, isTold(i)));
  // Block keeps all up to the last that passes: where that is the last of all, no other needs a test of its own.
  if (rule === 'block' && numAccepted === k && findings.at(-1)?.kind === 'recomputed') findings.fill(RECOMPUTED);
  const followUniform = rng.uniform(STREAM.followDraw, position);
  const refused = tests[numAccepted];
  if (!refused) return [...findings, drawFinding(p[k]!, followUniform, round.next_token_id)];
  if (isTold(numAccepted) && refused.u <= refused.passes) {
    const why = 'the guess there passes its test, and is said to have been refused';
    return [...findings, differs('log_ratio', ratio(refused), why, guesses[numAccepted]!)];
  }
  const wasCertain = (draftProbs?.[numAccepted] ?? 1) === 1;
  if (!wasCertain) return [...findings, supportFinding(p[numAccepted]!, round.next_token_id)];
  const own = p[numAccepted]!;
  const left = residualDistribution(own, oneHotDistribution(guesses[numAccepted]!), share);
  return [...findings, drawFinding(left ?? own, followUniform, round.next_token_id)];
}

/** Passes while u <= passes. */
interface AcceptTest {
  readonly u: number;
  readonly passes: number;
}

const ratio = ({ u, passes }: AcceptTest): number => Math.abs(Math.log(u) - Math.log(passes));

function acceptedFinding(test: AcceptTest, p: TokenDistribution, guess: number, isTold: boolean): Finding {
  if (!isTold) return supportFinding(p, guess);
  if (test.u <= test.passes) return RECOMPUTED;
  return differs('log_ratio', ratio(test), 'the guess there fails its test, and is said to have been kept');
}

function supportFinding(p: TokenDistribution, tokenId: number): Finding {
  if (probOf(p, tokenId) > 0) return { kind: 'supported', why: NEEDS_DRAFT };
  return differs('probability', Number.POSITIVE_INFINITY, 'the token has probability 0 there');
}

function drawFinding(distribution: WeightedTokens, u: number, recorded: number): Finding {
  const own = drawFrom(distribution, u);
  if (own === recorded) return RECOMPUTED;
  return differs('probability', distanceTo(distribution, u, recorded), 'the seed draws another token there', own);
}

/** From u to the token's interval of the cumulative distribution; Infinity where it has none. */
function distanceTo(distribution: WeightedTokens, u: number, tokenId: number): number {
  const width = probOf(distribution, tokenId);
  if (width === 0) return Number.POSITIVE_INFINITY;
  let start = 0;
  for (let i = 0; ; i++) {
    const id = distribution.tokenIds ? distribution.tokenIds[i]! : i;
    if (id === tokenId) break;
    start += probOf(distribution, id);
  }
  return Math.max(start - u, u - (start + width), 0);
}
