/** Which pair serves a model name. There is one pair today, which also serves requests that name no model. */
import { ServiceError } from '@forerunner/protocol';
import type { Pair, ServedPair } from './pair.ts';

export class PairDirectory {
  readonly #pair: Pair;

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  /** Every pair that serves now. Errors: target_unavailable when none does. */
  list(): ServedPair[] {
    return [this.#pair.serve()];
  }

  /** Errors: target_unavailable; not_found when the name is not that of a model that is served. */
  find(model?: string | null): ServedPair {
    const pair = this.#pair.serve();
    const { model_id: served } = pair.card;
    if (model == null || model === served) return pair;
    const message = `there is no model "${model.slice(0, 100)}"; this server has "${served}"`;
    throw new ServiceError('not_found', message, { field: 'model' });
  }
}
