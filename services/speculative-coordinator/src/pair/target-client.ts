/** How the coordinator reaches a target: a service, over the network. */
import {
  type ModelCard,
  parseScoreReply,
  type ScoreReply,
  type ScoreRequestInput,
  scoreRequestFrame,
} from '@forerunner/protocol';
import { type CallOptions, type Peer, PeerError } from '@forerunner/service-kit';
import { fetchCard } from './model-card.ts';

export interface TargetClient {
  /** Where it is, for people. */
  readonly url: string;
  /** Errors: PeerError; the signal's reason when aborted. */
  score(request: ScoreRequestInput, options: CallOptions): Promise<ScoreReply>;
  /** Frees a sequence. Errors: PeerError. */
  free(sequenceId: string, requestId: string): Promise<void>;
  /** What it serves, or why nobody knows. Never fails. */
  card(): Promise<ModelCard | Error>;
  close(): Promise<void>;
}

export class RemoteTarget implements TargetClient {
  readonly #peer: Peer;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  get url(): string {
    return this.#peer.url;
  }

  async score(request: ScoreRequestInput, options: CallOptions): Promise<ScoreReply> {
    const bytes = await this.#peer.postFrame('/v1/score', scoreRequestFrame(request), options);
    try {
      return parseScoreReply(bytes);
    } catch (cause) {
      const message = `the target's reply makes no sense: ${(cause as Error).message}`;
      throw new PeerError('unreachable', message, undefined, {}, { cause });
    }
  }

  async free(sequenceId: string, requestId: string): Promise<void> {
    await this.#peer.delete(`/v1/sequences/${sequenceId}`, { requestId, timeoutMs: 2000 });
  }

  card(): Promise<ModelCard | Error> {
    return fetchCard(this.#peer);
  }

  close(): Promise<void> {
    return this.#peer.close();
  }
}
