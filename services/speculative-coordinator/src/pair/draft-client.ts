/** How the coordinator reaches a draft, wherever it runs; and the one that is a service, over the network. */
import {
  distributionAt,
  type ModelCard,
  type ProposeReply,
  type ProposeRequest,
  parseProposeReply,
  proposeRequestFrame,
} from '@forerunner/protocol';
import { probOf } from '@forerunner/sampling';
import { type CallOptions, type Peer, PeerError } from '@forerunner/service-kit';
import { fetchCard } from './model-card.ts';

/** Arrays are the callee's: it may move them to another thread. */
export type ProposalRequest = Omit<ProposeRequest, 'protocol_version'>;

export interface DraftClient {
  /** Where it is, for people. */
  readonly url: string;
  /** Errors: PeerError; the signal's reason when aborted. */
  propose(request: ProposalRequest, options: CallOptions): Promise<ProposeReply>;
  /** Frees a sequence. Errors: PeerError. */
  free(sequenceId: string, requestId: string): Promise<void>;
  /** What it serves, or why nobody knows. Never fails. */
  card(): Promise<ModelCard | Error>;
  close(): Promise<void>;
}

export class RemoteDraft implements DraftClient {
  readonly #peer: Peer;

  constructor(peer: Peer) {
    this.#peer = peer;
  }

  get url(): string {
    return this.#peer.url;
  }

  async propose(request: ProposalRequest, options: CallOptions): Promise<ProposeReply> {
    return readProposal(await this.#peer.postFrame('/v1/propose', proposeRequestFrame(request), options));
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

/** Parses a proposal and checks that each token can come from its distribution. A reply that lies is a broken peer. */
function readProposal(bytes: Uint8Array): ProposeReply {
  try {
    const reply = parseProposeReply(bytes);
    const { distributions } = reply;
    reply.draftTokenIds.forEach((id, i) => {
      if (distributions && !(probOf(distributionAt(distributions, i), id) > 0))
        throw new Error(`token ${id} has no probability under its own distribution`);
    });
    return reply;
  } catch (cause) {
    const message = `the draft's reply makes no sense: ${(cause as Error).message}`;
    throw new PeerError('unreachable', message, undefined, {}, { cause });
  }
}
