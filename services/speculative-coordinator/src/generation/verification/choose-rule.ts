/** Which verification rule an answer has, by the name that the request gives and its temperature. */
import { ServiceError, type VerificationRuleName } from '@forerunner/protocol';
import type { VerificationRule } from './rule.ts';
import { CoupledRule, GreedyRule } from './target-tokens.ts';
import { VerdictRule } from './verdict.ts';

/** Errors: unsupported_value when the rule cannot keep the distribution of this temperature. */
export function chooseRule(
  name: VerificationRuleName,
  { temperature, seed }: { readonly temperature: number; readonly seed: number },
): VerificationRule {
  // At temperature 0 every rule keeps what greedy verification keeps, which asks for least.
  if (temperature === 0) return new GreedyRule(seed);
  if (name === 'coupled') return new CoupledRule(seed);
  if (name === 'rejection' || name === 'block') return new VerdictRule(name, seed);
  throw new ServiceError('unsupported_value', `"verification": ${name} needs a temperature of 0, got ${temperature}`, {
    field: 'verification',
  });
}
