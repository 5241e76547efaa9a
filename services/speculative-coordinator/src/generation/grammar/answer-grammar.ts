/**
 * The grammar of one answer: what may stand where, as far as it has grown. It masks the target's rows and nothing else;
 * whoever guesses is free, and a guess that the grammar forbids has probability 0.
 */
import type { GrammarThread } from './thread/grammar-thread.ts';
import type { ConstrainedTokens } from './thread/messages.ts';

export type { ConstrainedTokens };

export interface AnswerGrammar {
  /** A token stands in the answer now. It must be allowed there. */
  commit(tokenId: number): void;
  /** The tokens of the text that alone may follow, as the tokenizer would write it: at most `maxTokens`, often none. */
  forcedTokens(maxTokens: number): Promise<Int32Array>;
  /**
   * Guesses up to the first that the grammar forbids, which stays among them: it is refused with certainty, and dropping
   * it would change the distribution. Behind guesses that may all stand, tokens to which there is no other way, up to
   * `maxTokens` in all; and the masks for every place.
   */
  constrain(guesses: Int32Array, maxTokens: number): Promise<ConstrainedTokens>;
  /** Frees what it holds. */
  close(): void;
}

/** A matcher on a grammar thread. */
export class ThreadGrammar implements AnswerGrammar {
  readonly #thread: GrammarThread;
  readonly #matcherId: number;
  /** Tokens that the thread has not been told of. */
  #news: number[] = [];

  constructor(thread: GrammarThread, matcherId: number) {
    this.#thread = thread;
    this.#matcherId = matcherId;
  }

  commit(tokenId: number): void {
    this.#news.push(tokenId);
  }

  forcedTokens(maxTokens: number): Promise<Int32Array> {
    return this.#thread.call({ ...this.#place(), method: 'forcedTokens', maxTokens });
  }

  constrain(guesses: Int32Array, maxTokens: number): Promise<ConstrainedTokens> {
    return this.#thread.call({ ...this.#place(), method: 'constrain', guesses, maxTokens });
  }

  close(): void {
    this.#thread.call({ method: 'close', matcherId: this.#matcherId }).catch(() => {}); // a thread that is gone holds nothing
  }

  #place() {
    const committed = this.#news;
    this.#news = [];
    return { matcherId: this.#matcherId, committed };
  }
}
