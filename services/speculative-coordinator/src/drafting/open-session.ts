/** The draft's side of a new answer: the draft that the pair has, behind the client's own prediction where there is one. */
import type { DraftPeer } from '../pair/draft-peer.ts';
import { CardDraftSession } from './card-draft-session.ts';
import type { DraftContext } from './draft-sequence.ts';
import type { DraftSession } from './draft-session.ts';
import { PredictionSession } from './prediction-session.ts';

export interface SessionOptions {
  readonly numPromptTokens: number;
  /** What the client expects the answer to be. */
  readonly predictionTokenIds?: Int32Array | undefined;
  /** Hidden states that a session keeps for a draft that reads them, bytes. */
  readonly maxWindowBytes: number;
}

export function openDraftSession(peer: DraftPeer, context: DraftContext, options: SessionOptions): DraftSession {
  const { numPromptTokens, predictionTokenIds, maxWindowBytes } = options;
  const draft = new CardDraftSession(peer, context, { maxWindowBytes });
  if (!predictionTokenIds?.length) return draft;
  return new PredictionSession(predictionTokenIds, numPromptTokens, draft);
}
