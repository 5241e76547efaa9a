/**
 * What serves one model name: the targets, the drafts, the tokenizer, and how answers draft where a request does
 * not say. Knows whether it can serve now; generates nothing.
 */
import { type ModelCard, ServiceError } from '@forerunner/protocol';
import type { DraftPool } from './draft-pool.ts';
import type { DraftingDefaults } from './drafting-defaults.ts';
import type { PeerMonitor } from './peer-monitor.ts';
import type { Pool } from './pool/pool.ts';
import type { TargetClient } from './target-client.ts';
import type { TextCodec } from './text-codec.ts';

export interface PairParts {
  readonly targets: Pool<TargetClient>;
  /** null: none is configured; guesses come from texts alone. */
  readonly drafts: DraftPool | null;
  readonly monitor: PeerMonitor;
  readonly codec: TextCodec;
  readonly draftingDefaults: DraftingDefaults;
}

/** A pair as one request has it: the card is the model that its answers are bound to. */
export interface ServedPair extends Pick<PairParts, 'targets' | 'drafts' | 'codec' | 'draftingDefaults'> {
  readonly card: ModelCard;
}

export class Pair {
  readonly #parts: PairParts;

  constructor(parts: PairParts) {
    this.#parts = parts;
  }

  /** The pair as it serves now. Errors: target_unavailable, with the reason why it does not. */
  serve(): ServedPair {
    const { monitor, ...parts } = this.#parts;
    const { served } = monitor;
    if ('reason' in served) throw new ServiceError('target_unavailable', served.reason);
    return { ...parts, card: served.card };
  }

  async close(): Promise<void> {
    const { targets, drafts, monitor } = this.#parts;
    monitor.stop();
    await Promise.all([targets.close(), drafts?.pool.close()]);
  }
}
