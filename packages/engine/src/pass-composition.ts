/**
 * Which of the waiting sequences share the next pass, and with how many tokens each. A pure function of the queue; the
 * rules, and what they promise, are in docs/scheduling.md. Knows numbers of tokens; nothing of caches, rows or time.
 */

export interface PassLimits {
  /** Most sequences of a pass. */
  readonly maxItems: number;
  /** Most tokens of a pass (MAX_PASS_TOKENS). */
  readonly maxTokens: number;
  /** Most tokens of one sequence in a pass (PREFILL_CHUNK_TOKENS). */
  readonly chunkTokens: number;
}

interface Waiting {
  readonly numTokens: number;
}

/** The first `numTokens` tokens of a job go in the pass; the rest queues again. */
export interface PassShare<T extends Waiting> {
  readonly job: T;
  readonly numTokens: number;
}

/** `queue` is in order of arrival. */
export type ComposePass = <T extends Waiting>(queue: readonly T[], limits: PassLimits) => PassShare<T>[];

/** What is no longer than the widest proposal with the token before it is never cut. */
const MAX_SHORT_TOKENS = 33;
/** A smaller piece of a prompt is not worth its turn. */
const MIN_PIECE_TOKENS = 16;

/** Never empty unless the queue is. */
export const composePass: ComposePass = (queue, limits) => {
  const { maxItems, maxTokens, chunkTokens } = limits;
  const [oldest] = queue;
  if (!oldest) return [];
  const maxShortTokens = Math.min(MAX_SHORT_TOKENS, chunkTokens, Math.floor(maxTokens / 2));
  const isShort = (job: Waiting) => job.numTokens <= maxShortTokens;
  const pieceOf = (job: Waiting, freeTokens: number) => Math.min(job.numTokens, chunkTokens, freeTokens);

  const pass: PassShare<(typeof queue)[number]>[] = [];
  let freeItems = maxItems;
  let freeTokens = maxTokens;
  const take = (job: (typeof queue)[number], numTokens: number) => {
    pass.push({ job, numTokens });
    freeItems--;
    freeTokens -= numTokens;
  };

  // A long job that waits longest is kept a place and up to half of the tokens while short ones are chosen.
  const numKeptItems = isShort(oldest) ? 0 : 1;
  const numKeptTokens = numKeptItems * pieceOf(oldest, Math.ceil(maxTokens / 2));
  for (const job of queue) {
    if (!isShort(job)) continue;
    if (freeItems === numKeptItems || job.numTokens > freeTokens - numKeptTokens) break;
    take(job, job.numTokens);
  }
  for (const job of queue) {
    if (isShort(job)) continue;
    const numTokens = pieceOf(job, freeTokens);
    const isWhole = numTokens === pieceOf(job, maxTokens);
    if (freeItems === 0 || !(job === oldest || isWhole || numTokens >= MIN_PIECE_TOKENS)) break;
    take(job, numTokens);
  }
  return pass;
};
