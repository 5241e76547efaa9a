/**
 * One recorded round against the target's rows: each token that it gave is computed again, with the noise that the seed
 * fixes. Rows end at the first refusal, as the text does: what lay behind it is not looked at. Pure but for the rows.
 */
import { CoupledNoise, probOf, type SamplingParams } from '@forerunner/sampling';
import { checkVerdict } from './check-verdict.ts';
import { differs, type Finding, RECOMPUTED } from './findings.ts';
import { type RoundFacts, textBefore } from './round-facts.ts';

const MASKED = 'a grammar decided which tokens were allowed there, and a receipt does not hold it';

/** [num_accepted_tokens + 1]. Errors: SamplingError for rows that are none. */
export function checkRound(facts: RoundFacts): Finding[] {
  const { rule, round } = facts;
  const { draft_token_ids: guesses, num_accepted_tokens: numAccepted, next_token_id: next } = round;
  if (rule === 'rejection' || rule === 'block') {
    if (facts.structured) return Array(numAccepted + 1).fill({ kind: 'not_checked', why: MASKED });
    return checkVerdict(facts, rule);
  }
  const findings = Array.from({ length: numAccepted + 1 }, (_, place) => checkOwnToken(facts, place));
  if (guesses[numAccepted] === next) {
    const why = 'the guess that is said to have been refused there is the token that took its place';
    const unit = rule === 'greedy' ? 'log_probability' : 'perturbed_logit';
    findings[numAccepted] = differs(unit, Number.POSITIVE_INFINITY, why);
  }
  return findings;
}

/** Greedy and coupled: the target's own token at every place, whatever was guessed. */
function checkOwnToken(facts: RoundFacts, place: number): Finding {
  const { rule, seed, position, tokenIds, params, sampler, structured } = facts;
  const recorded = tokenIds[position + place]!;
  const row = facts.logits(place);
  const text = textBefore(facts, place);
  const isGreedy = rule === 'greedy';
  const noise = new CoupledNoise(seed, position + place);
  // Of fewer tokens the filters keep others: only without them does an unmasked draw tell what the masked one was.
  if (structured && !isGreedy && isFiltered(params)) return { kind: 'not_checked', why: MASKED };
  const own = isGreedy ? sampler.likeliest(row, params, text) : sampler.drawCoupled(row, params, text, noise);
  if (own === recorded) return RECOMPUTED;
  if (structured) return { kind: 'not_checked', why: MASKED };
  if (isGreedy) {
    const p = sampler.distribution(row, { ...params, temperature: 1, topK: 0, topP: 1, minP: 0 }, text);
    const margin = Math.log(probOf(p, own)) - Math.log(probOf(p, recorded));
    return differs('log_probability', margin, 'another token is the likeliest there', own);
  }
  const p = sampler.distribution(row, params, text);
  const perturbed = (id: number) => Math.log(probOf(p, id)) - Math.log(noise.exponential(id));
  return differs('perturbed_logit', perturbed(own) - perturbed(recorded), 'the seed draws another token there', own);
}

const isFiltered = ({ topK, topP, minP }: SamplingParams): boolean => topK > 0 || topP < 1 || minP > 0;
