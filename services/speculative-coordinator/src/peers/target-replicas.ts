/**
 * The target's replicas: which to ask first, which to leave alone for a while. New requests go round; a request stays on
 * the replica that holds its cache.
 */
import type { Peer } from '@forerunner/service-kit';

const PAUSE_MS = 2000;

export class TargetReplicas {
  readonly clients: readonly Peer[];
  readonly #avoidUntilMs: number[];
  #next = 0;

  constructor(clients: readonly Peer[]) {
    this.clients = clients;
    this.#avoidUntilMs = clients.map(() => 0);
  }

  client(index: number): Peer {
    return this.clients[index]!;
  }

  /** Every replica once, in the order to try them: the current one, then the others from the next in turn. */
  candidates(current: number | null): number[] {
    const count = this.clients.length;
    const start = current ?? this.#next++ % count;
    const now = performance.now();
    const isAvoided = (index: number) => Number(index !== current && this.#avoidUntilMs[index]! > now);
    return Array.from({ length: count }, (_, i) => (start + i) % count).sort((a, b) => isAvoided(a) - isAvoided(b));
  }

  reportFailure(index: number): void {
    this.#avoidUntilMs[index] = performance.now() + PAUSE_MS;
  }

  reportSuccess(index: number): void {
    this.#avoidUntilMs[index] = 0;
  }
}
