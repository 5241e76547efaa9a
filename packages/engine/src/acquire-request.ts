/** What a request says of where it stands in its sequence, and the check that both sides mean the same text. */
import type { TokenPrefix } from '@forerunner/protocol';
import { sequenceMismatch } from './errors.ts';

export interface AcquireRequest {
  readonly sequenceId: string;
  /** Tokens before the new ones. */
  readonly position: number;
  /** TokenPrefix.digestAt(position). */
  readonly prefixDigest: string;
  /** Prefixes are shared only within a scope. */
  readonly scope: string;
  /** The new tokens. */
  readonly tokenIds: Int32Array;
  /** Most of the new tokens that may be taken from a cache instead of being computed. */
  readonly numReusable: number;
  readonly signal?: AbortSignal | undefined;
}

/** Errors: EngineError sequence_mismatch (details.cached_length: from where to send). */
export function checkPosition(prefix: TokenPrefix, { position, prefixDigest }: AcquireRequest): void {
  if (position > prefix.length) {
    throw sequenceMismatch(
      `the request starts at position ${position}, ${prefix.length} tokens are cached`,
      prefix.length,
    );
  }
  if (prefix.digestAt(position) !== prefixDigest) {
    throw sequenceMismatch(`the first ${position} tokens are not those that are cached (their digests differ)`, 0);
  }
}
