/** What a call to a peer can come to instead of an answer. */
import { ERROR_STATUS, type ErrorCode } from '@forerunner/protocol';

/**
 * refused: the peer's own 4xx word; busy: it works, but has no room now; timeout: no answer within the deadline;
 * unreachable: the connection failed or the peer is broken.
 */
export type PeerErrorKind = 'refused' | 'busy' | 'timeout' | 'unreachable';

export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly kind: PeerErrorKind;
  /** The peer's own code, where it gave one. */
  readonly code: ErrorCode | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    kind: PeerErrorKind,
    message: string,
    code?: ErrorCode,
    details: Record<string, unknown> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.code = code;
    this.details = details;
  }
}

/** Kind of an error that a peer has a status, and perhaps a code, for. */
export function kindOf(status: number, code: string): PeerErrorKind {
  if (code === 'overloaded' || code === 'kv_budget_exceeded') return 'busy';
  return status < 500 ? 'refused' : 'unreachable';
}

export const isErrorCode = (code: string): code is ErrorCode => code in ERROR_STATUS;
