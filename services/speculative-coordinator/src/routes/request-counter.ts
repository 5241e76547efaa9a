/** Counts requests by route and outcome, each once, whatever ended it, and refuses those for which there is no room. */
import type { Admission } from '../admission.ts';
import type { Caller } from '../generation/answer-runner.ts';
import { outcomeOf } from '../generation/outcome.ts';
import type { CoordinatorMetrics } from '../metrics.ts';

export class RequestCounter {
  readonly #requests: CoordinatorMetrics['requests'];
  readonly #admission: Admission;

  constructor(metrics: Pick<CoordinatorMetrics, 'requests'>, admission: Admission) {
    this.#requests = metrics.requests;
    this.#admission = admission;
  }

  /** Before the body is read. Errors: overloaded. */
  requireRoom(route: string): void {
    try {
      this.#admission.requireRoom();
    } catch (error) {
      this.#requests.inc({ route, outcome: 'refused' });
      throw error;
    }
  }

  /** Errors: those of `answer`. */
  async count<T>({ route, signal }: Pick<Caller, 'route' | 'signal'>, answer: () => Promise<T>): Promise<T> {
    let outcome = 'completed';
    try {
      return await answer();
    } catch (error) {
      outcome = outcomeOf(error, signal);
      throw error;
    } finally {
      this.#requests.inc({ route, outcome });
    }
  }
}
