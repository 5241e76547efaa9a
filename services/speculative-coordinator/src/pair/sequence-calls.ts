/** What calls about a sequence share on both sides: for whom they are made, and how they heal. */
import { PeerError } from '@forerunner/service-kit';

export interface SequenceContext {
  readonly requestId: string;
  readonly signal: AbortSignal;
  /** Cached prefixes are shared only within a scope. */
  readonly cacheScope: string;
  /** Told of the bytes of every call's frames. */
  readonly onTraffic?: (sentBytes: number, receivedBytes: number) => void;
}

/** Deadline of a call with this many new tokens, milliseconds: one timeout more for every `tokensPerTimeout` of them. */
export function callTimeout(timeoutMs: number, numNewTokens: number, tokensPerTimeout: number): number {
  return Math.ceil(timeoutMs * (1 + numNewTokens / tokensPerTimeout));
}

/** The first answer may correct what this side believes, the second sends everything; one more would be a defect. */
const MAX_CORRECTIONS = 2;

/**
 * Calls from the position that the service is believed to hold; on a sequence_mismatch again from the length that it
 * names, then from the beginning. `end` is where the text ends: at least its last token is always sent.
 * Errors: what `call` throws otherwise, and the mismatch that no correction cured.
 */
export async function callHealing<T>(
  numBelieved: number,
  end: number,
  call: (position: number) => Promise<T>,
): Promise<T> {
  let numCached = numBelieved;
  for (let corrections = 0; ; corrections++) {
    try {
      return await call(Math.min(numCached, end - 1));
    } catch (error) {
      const mismatch = error instanceof PeerError && error.code === 'sequence_mismatch';
      if (!mismatch || corrections >= MAX_CORRECTIONS) throw error;
      const named = Number(error.details.cached_length);
      numCached = corrections === 0 && named < end ? named : 0;
    }
  }
}
