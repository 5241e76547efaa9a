/** Verification where the target's own token is known at every position: greedy, and coupled draws. */
import { SamplingError } from './errors.ts';
import type { VerificationOutcome } from './types.ts';

/**
 * Rules 2 and 3: keeps draft tokens while they are the target's own (its argmax at temperature 0, else its coupled draw),
 * and goes on with the target's own where they are not. So what is emitted is the target's own text, whatever was
 * proposed. `targetTokenIds` [<= k + 1]: at the position of each draft token, and at the one after the last; what follows the
 * first that differs may be missing. Errors: invalid_argument.
 */
export function verifyTargetTokens(draftTokenIds: Int32Array, targetTokenIds: Int32Array): VerificationOutcome {
  const k = draftTokenIds.length;
  for (let i = 0; i < Math.min(targetTokenIds.length, k + 1); i++) {
    const tokenId = targetTokenIds[i]!;
    if (i === k) return { numAcceptedTokens: k, bonusTokenId: tokenId };
    if (draftTokenIds[i] !== tokenId) return { numAcceptedTokens: i, recoveredTokenId: tokenId };
  }
  throw new SamplingError(
    'invalid_argument',
    `${k} draft tokens need ${k + 1} target tokens, or those up to the first that differs, got ${targetTokenIds.length}`,
  );
}
