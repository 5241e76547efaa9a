/** The tokens of one choice, as far as their text has come out. */
import type { EmittedToken, RoundRecord } from '../generation/round.ts';

/** Tokens of one choice that wait until their text is out, so that nothing behind the end of the answer is told. */
export class TokenTail {
  readonly #waiting: { readonly start: number; readonly token: EmittedToken }[] = [];
  readonly #numCharsBefore: number;
  #numChars = 0;
  #numReleasedChars = 0;

  /** Places count from so many characters before the answer. */
  constructor(numCharsBefore = 0) {
    this.#numCharsBefore = numCharsBefore;
  }

  /** Takes a round in, and gives the tokens (with the place where each begins) whose text has come out with it. */
  add(round: RoundRecord): { readonly start: number; readonly token: EmittedToken }[] {
    for (const token of round.tokens) {
      this.#waiting.push({ start: this.#numChars, token });
      this.#numChars += token.text.length;
    }
    this.#numReleasedChars += round.text.length;
    const behind = this.#waiting.findIndex(({ start }) => start >= this.#numReleasedChars);
    return this.#placed(behind < 0 ? this.#waiting.length : behind);
  }

  /** What still waits at the end, where nothing of it is behind the end: the token that ended the answer, for example. */
  rest(): { readonly start: number; readonly token: EmittedToken }[] {
    return this.#placed(this.#waiting.length);
  }

  #placed(count: number) {
    return this.#waiting.splice(0, count).map(({ start, token }) => ({ start: this.#numCharsBefore + start, token }));
  }
}
