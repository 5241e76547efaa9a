/** Runs the choices of one request side by side. The first failure ends all of them. */
import type { EmittedToken, GenerationStep } from '../generation/generation.ts';
import type { GenerationCaller, GenerationOrder, Generator, RunningGeneration } from '../generation/generator.ts';

/** Called for every step of every choice; a choice waits for it before it goes on. */
export type OnStep = (index: number, step: GenerationStep, running: RunningGeneration) => Promise<void> | void;

/** What each choice became, in order. Errors: that of the first choice to fail. */
export async function runChoices(
  generator: Generator,
  orders: readonly GenerationOrder[],
  caller: GenerationCaller,
  onStep: OnStep,
): Promise<RunningGeneration[]> {
  const siblings = new AbortController();
  const signal = orders.length === 1 ? caller.signal : AbortSignal.any([caller.signal, siblings.signal]);
  const results = await Promise.allSettled(
    orders.map((order, index) =>
      generator
        .run(order, { ...caller, signal }, async (running) => {
          for await (const step of running.generation.steps()) await onStep(index, step, running);
          return running;
        })
        .catch((error: unknown) => {
          siblings.abort(error); // the first reason stays
          throw error;
        }),
    ),
  );
  if (siblings.signal.aborted) throw siblings.signal.reason;
  return results.map((result) => (result as PromiseFulfilledResult<RunningGeneration>).value);
}

/** Tokens of one choice that wait until their text is out, so that nothing behind the end of the answer is told. */
export class TokenTail {
  readonly #waiting: { readonly start: number; readonly token: EmittedToken }[] = [];
  #numChars = 0;
  #numReleasedChars = 0;

  /** Takes a step in, and gives the tokens (with the place where each begins) whose text has come out with it. */
  add(step: GenerationStep): { readonly start: number; readonly token: EmittedToken }[] {
    for (const token of step.tokens) {
      this.#waiting.push({ start: this.#numChars, token });
      this.#numChars += token.text.length;
    }
    this.#numReleasedChars += step.text.length;
    const behind = this.#waiting.findIndex(({ start }) => start >= this.#numReleasedChars);
    return this.#waiting.splice(0, behind < 0 ? this.#waiting.length : behind);
  }
}
