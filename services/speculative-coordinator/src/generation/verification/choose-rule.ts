/** Which verification rule an answer has, by the name that the request gives and its temperature. */
import { ServiceError, type VerificationRuleName } from '@forerunner/protocol';
import { GreedyRule } from './greedy.ts';
import { RejectionRule } from './rejection.ts';
import type { VerificationRule } from './rule.ts';

/** Errors: unsupported_value when the rule cannot keep the distribution of this temperature. */
export function chooseRule(
  name: VerificationRuleName,
  { temperature, seed }: { readonly temperature: number; readonly seed: number },
): VerificationRule {
  // With one-hot distributions rejection keeps what greedy verification keeps, which asks for less.
  if (temperature === 0) return new GreedyRule(seed);
  if (name === 'rejection') return new RejectionRule(seed);
  throw new ServiceError('unsupported_value', `"verification": ${name} needs a temperature of 0, got ${temperature}`, {
    field: 'verification',
  });
}
