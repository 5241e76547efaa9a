/**
 * The target's replicas, each with the card that it last showed: which may be asked for a model, which of them first, and
 * which are left alone for a while. New requests go round; a request stays on the replica that holds its cache. Whether
 * the cards fit each other and the coordinator is not decided here.
 */
import type { ModelCard } from '@forerunner/protocol';
import type { Peer } from '@forerunner/service-kit';
import { fetchCard } from './model-card.ts';

const PAUSE_MS = 2000;

export class TargetReplicas {
  readonly clients: readonly Peer[];
  readonly #cards: (ModelCard | Error)[];
  readonly #avoidUntilMs: number[];
  #next = 0;

  constructor(clients: readonly Peer[]) {
    this.clients = clients;
    this.#cards = clients.map(() => new Error('the target-service has not answered yet'));
    this.#avoidUntilMs = clients.map(() => 0);
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
   * The replicas that may serve a model, in the order to try them: the current one, then the others from the next in
   * turn. One whose card is not known may be asked: the request names the model, so another one is refused.
   */
  candidates(modelDigest: string, current: number | null): number[] {
    const eligible = [...this.clients.keys()].filter((index) => {
      const card = this.#cards[index]!;
      return card instanceof Error || card.model_digest === modelDigest;
    });
    const start = current !== null && eligible.includes(current) ? eligible.indexOf(current) : this.#next++;
    const now = performance.now();
    const isAvoided = (index: number) => Number(index !== current && this.#avoidUntilMs[index]! > now);
    return eligible.map((_, i) => eligible[(start + i) % eligible.length]!).sort((a, b) => isAvoided(a) - isAvoided(b));
  }

  reportFailure(index: number): void {
    this.#avoidUntilMs[index] = performance.now() + PAUSE_MS;
  }

  reportSuccess(index: number): void {
    this.#avoidUntilMs[index] = 0;
  }
}
