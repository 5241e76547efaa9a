/**
 * The target's replicas, each with the card that it last showed: which may be asked for a model, which of them first, and
 * which are left alone for a while. A text goes where others that begin like it went before, and stays on the replica
 * that holds its cache. Whether the cards fit each other and the coordinator is not decided here.
 */
import type { ModelCard } from '@forerunner/protocol';
import type { Peer } from '@forerunner/service-kit';
import { fetchCard } from './model-card.ts';
import { rankReplicas } from './replica-order.ts';

const PAUSE_MS = 2000;

export class TargetReplicas {
  readonly clients: readonly Peer[];
  readonly #cards: (ModelCard | Error)[];
  readonly #avoidUntilMs: number[];
  readonly #numRunning: number[];

  constructor(clients: readonly Peer[]) {
    this.clients = clients;
    this.#cards = clients.map(() => new Error('the target-service has not answered yet'));
    this.#avoidUntilMs = clients.map(() => 0);
    this.#numRunning = clients.map(() => 0);
  }

  client(index: number): Peer {
    return this.clients[index]!;
  }

  /** What each replica last said of itself, or why it did not. */
  get cards(): readonly (ModelCard | Error)[] {
    return this.#cards;
  }

  async refresh(): Promise<void> {
    await Promise.all(this.clients.map((_, index) => this.refreshCard(index)));
  }

  async refreshCard(index: number): Promise<void> {
    this.#cards[index] = await fetchCard(this.client(index));
  }

  /**
   * The replicas that may serve a model, in the order to try them: the current one, then the others as the text's prefix
   * ranks them. One whose card is not known may be asked: the request names the model, so another one is refused.
   */
  candidates(modelDigest: string, { current, key }: { current: number | null; key: string }): number[] {
    const eligible = [...this.clients.keys()].filter((index) => {
      const card = this.#cards[index]!;
      return card instanceof Error || card.model_digest === modelDigest;
    });
    const loads = eligible.map((index) => ({ name: this.client(index).url, numRunning: this.#numRunning[index]! }));
    const ranked = rankReplicas(key, loads).map((i) => eligible[i]!);
    const now = performance.now();
    const isAvoided = (index: number) => this.#avoidUntilMs[index]! > now;
    const place = (index: number) => (index === current ? 0 : isAvoided(index) ? 2 : 1);
    return ranked.sort((a, b) => place(a) - place(b));
  }

  /** An answer begins to work on a replica. */
  enter(index: number): void {
    this.#numRunning[index]!++;
  }

  /** It works there no more. */
  leave(index: number): void {
    this.#numRunning[index]!--;
  }

  reportFailure(index: number): void {
    this.#avoidUntilMs[index] = performance.now() + PAUSE_MS;
  }

  reportSuccess(index: number): void {
    this.#avoidUntilMs[index] = 0;
  }
}
