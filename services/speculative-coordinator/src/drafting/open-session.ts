/** The draft's side of a new answer: the draft that the pair has, if any, and the texts that it may be repeating. */
import type { DraftPool } from '../pair/draft-pool.ts';
import { CardDraftSession } from './card-draft-session.ts';
import type { DraftContext } from './draft-sequence.ts';
import type { DraftSession } from './draft-session.ts';
import { JoinedSession, type TextGuesses } from './joined-session.ts';

export interface SessionOptions extends TextGuesses {
  /** Hidden states that a session keeps for a draft that reads them, bytes. */
  readonly maxWindowBytes: number;
}

/** `drafts` null: the pair has none. */
export function openDraftSession(
  drafts: DraftPool | null,
  context: DraftContext,
  options: SessionOptions,
): DraftSession {
  const { maxWindowBytes, ...texts } = options;
  return new JoinedSession(drafts && new CardDraftSession(drafts, context, { maxWindowBytes }), texts);
}
