/** What a route needs to answer: which pair, how answers are run and requests counted, and who asks. */
import type { AnswerRunner } from '../generation/answer-runner.ts';
import type { PairDirectory } from '../pair/directory.ts';
import type { CallerOf } from './caller.ts';
import type { RequestCounter } from './request-counter.ts';

export interface AnswerRouteDeps {
  readonly pairs: PairDirectory;
  readonly runner: AnswerRunner;
  readonly requests: RequestCounter;
  readonly callerOf: CallerOf;
}
