/** The draft's side of a new answer: the draft that the pair has, if any, and the texts that it may be repeating. */
import type { DraftPeer } from '../pair/draft-peer.ts';
import { CardDraftSession } from './card-draft-session.ts';
import type { DraftContext } from './draft-sequence.ts';
import type { DraftSession } from './draft-session.ts';
import { JoinedSession, type TextGuesses } from './joined-session.ts';

export interface SessionOptions extends TextGuesses {
  /** Hidden states that a session keeps for a draft that reads them, bytes. */
  readonly maxWindowBytes: number;
}

/** `peer` null: the pair has no draft. */
export function openDraftSession(peer: DraftPeer | null, context: DraftContext, options: SessionOptions): DraftSession {
  const { maxWindowBytes, ...texts } = options;
  return new JoinedSession(peer && new CardDraftSession(peer, context, { maxWindowBytes }), texts);
}
