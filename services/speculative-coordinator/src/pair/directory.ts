/** Which pair serves a model name. There is one pair today, which also serves requests that name no model. */
import { ServiceError } from '@forerunner/protocol';
import type { Pair, ServedPair } from './pair.ts';

export class PairDirectory {
  readonly #pair: Pair;
  readonly #aliases: readonly string[];

  /** `aliases` are further names of the model. */
  constructor(pair: Pair, aliases: readonly string[] = []) {
    this.#pair = pair;
    this.#aliases = aliases;
  }

  /** Every name under which a pair serves now. Errors: target_unavailable when none does. */
  list(): { readonly name: string; readonly pair: ServedPair }[] {
    const pair = this.#pair.serve();
    return [...new Set([pair.card.model_id, ...this.#aliases])].map((name) => ({ name, pair }));
  }

  /** Errors: target_unavailable; not_found when the name is not that of a model that is served. */
  find(model?: string | null): ServedPair {
    const pair = this.#pair.serve();
    const { model_id: served } = pair.card;
    if (model == null || model === served || this.#aliases.includes(model)) return pair;
    const message = `there is no model "${model.slice(0, 100)}"; this server has "${served}"`;
    throw new ServiceError('not_found', message, { field: 'model' });
  }
}
