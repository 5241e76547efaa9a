/** The matcher of one text: it stands behind the last token that was committed, and looks ahead from there. */
import type { Tokenizer } from '@forerunner/tokenizer';
import type { GrammarMatcher } from './load-xgrammar.ts';
import type { ConstrainCall, ConstrainedTokens, ForcedTokensCall, GrammarThreadData } from './messages.ts';

/** A call that cannot be answered, after which the next one can: a token where the grammar forbids it, no such grammar. */
export class RefusedCallError extends Error {
  override readonly name = 'RefusedCallError';
}

export class MatcherState {
  readonly #matcher: GrammarMatcher;
  readonly #tokenizer: Tokenizer;
  readonly #numWords: number;

  constructor(matcher: GrammarMatcher, tokenizer: Tokenizer, { vocabSize }: GrammarThreadData) {
    this.#matcher = matcher;
    this.#tokenizer = tokenizer;
    this.#numWords = Math.ceil(vocabSize / 32);
  }

  dispose(): void {
    this.#matcher.dispose();
  }

  /** The text that must follow, as the tokenizer writes it. The text is forced, how it is cut into tokens is not. */
  forcedTokens({ committed, maxTokens }: ForcedTokensCall): Int32Array {
    this.#commit(committed);
    if (this.#matcher.isTerminated()) return new Int32Array(0);
    const text = this.#matcher.findJumpForwardString();
    return text === '' ? new Int32Array(0) : this.#encode(text).slice(0, maxTokens);
  }

  /** None for a text that the tokenizer cannot write: it is a guess only. */
  #encode(text: string): Int32Array {
    try {
      return this.#tokenizer.encodeFragment(text);
    } catch {
      return new Int32Array(0);
    }
  }

  async constrain({ committed, guesses, maxTokens }: ConstrainCall): Promise<ConstrainedTokens> {
    this.#commit(committed);
    const masks: Int32Array[] = [];
    const forced: number[] = [];
    let numGuesses = 0;
    let numSteps = 0;
    try {
      while (!this.#matcher.isTerminated()) {
        const mask = await this.#matcher.getNextTokenBitmask();
        if (mask.every((word) => word === 0)) break; // a grammar that nothing satisfies from here on
        masks.push(mask);
        const isGuess = numGuesses < guesses.length;
        const next = isGuess ? guesses[numGuesses]! : onlyToken(mask);
        if (next === null || numGuesses + forced.length >= maxTokens) break;
        if (isGuess) numGuesses++;
        else forced.push(next);
        if (!isAllowed(mask, next)) break;
        this.#matcher.acceptToken(next);
        numSteps++;
      }
    } finally {
      if (numSteps > 0) this.#matcher.rollBack(numSteps);
    }
    const allowedTokens = new Int32Array(masks.length * this.#numWords);
    masks.forEach((mask, row) => {
      allowedTokens.set(mask, row * this.#numWords);
    });
    return { numGuesses, forcedTokenIds: Int32Array.from(forced), allowedTokens };
  }

  #commit(tokenIds: readonly number[]): void {
    for (const tokenId of tokenIds) {
      if (this.#matcher.isTerminated()) throw new RefusedCallError(`token ${tokenId} stands behind the end`);
      if (!this.#matcher.acceptToken(tokenId)) throw new RefusedCallError(`token ${tokenId} is forbidden there`);
    }
  }
}

const isAllowed = (mask: Int32Array, tokenId: number): boolean => ((mask[tokenId >> 5]! >>> (tokenId & 31)) & 1) === 1;

/** The one token that a mask allows; null when there are more. */
function onlyToken(mask: Int32Array): number | null {
  let only: number | null = null;
  for (let word = 0; word < mask.length; word++) {
    const bits = mask[word]!;
    if (bits === 0) continue;
    if (only !== null || (bits & (bits - 1)) !== 0) return null;
    only = word * 32 + 31 - Math.clz32(bits);
  }
  return only;
}
