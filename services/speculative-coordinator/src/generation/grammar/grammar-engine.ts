/**
 * Grammars for answers, on two threads, begun when the first answer needs them. One compiles each new grammar on trial,
 * with a time limit: it may hang or break. The other holds the compiled ones and the matchers of all answers, and only
 * gets what was compiled before.
 */
import { createHash } from 'node:crypto';
import { type ModelCard, ServiceError } from '@forerunner/protocol';
import { type AnswerGrammar, ThreadGrammar } from './answer-grammar.ts';
import { GrammarCallError, GrammarThread } from './thread/grammar-thread.ts';
import type { GrammarThreadData } from './thread/messages.ts';

/** What an answer must match. */
export interface GrammarSource {
  /** In XGrammar's notation, its first rule "root". */
  readonly ebnf: string;
  /** The field of the request that it comes from, for errors. */
  readonly field: string;
}

export interface GrammarEngineOptions {
  /** Folder with the target's tokenizer. */
  readonly modelDir: string;
  /** Longest that a grammar may take to compile. */
  readonly compileTimeoutMs: number;
}

type GrammarCard = Pick<ModelCard, 'vocab_size' | 'eos_token_ids'>;

/** Longest notation of one grammar. */
const MAX_EBNF_BYTES = 1 << 18;
/** The thread for trials ends when no new grammar has come for so long. */
const IDLE_MS = 30_000;
/** Compiled grammars that are kept, and reasons why others are not to be had. */
const MAX_GRAMMARS = 64;

export class GrammarEngine {
  readonly #options: GrammarEngineOptions;
  #data: GrammarThreadData | null = null;
  #trial: GrammarThread | null = null;
  #matching: GrammarThread | null = null;
  #idle: NodeJS.Timeout | undefined;
  #lastTrial: Promise<unknown> = Promise.resolve();
  /** By digest, the least recently used first; a promise that fails stays, too. */
  readonly #grammars = new Map<string, Promise<void>>();
  #nextMatcherId = 0;

  constructor(options: GrammarEngineOptions) {
    this.#options = options;
  }

  /** The grammar of a new answer. Whoever opens closes it. Errors: invalid_request naming the field. */
  async open({ ebnf, field }: GrammarSource, card: GrammarCard): Promise<AnswerGrammar> {
    const refuse = (why: string) => new ServiceError('invalid_request', `"${field}": ${why}`, { field });
    const numBytes = Buffer.byteLength(ebnf);
    if (numBytes > MAX_EBNF_BYTES) {
      throw refuse(`is too large: its grammar has ${numBytes} bytes, at most ${MAX_EBNF_BYTES} are compiled`);
    }
    if (card.eos_token_ids.length === 0) throw refuse('needs a model with an end-of-sequence token');
    const thread = this.#threadOf(card);
    const key = createHash('sha256').update(ebnf).digest('base64');
    try {
      await this.#compiled(thread, key, ebnf);
    } catch (error) {
      if (error instanceof GrammarCallError) throw refuse(error.message);
      throw error;
    }
    const matcherId = this.#nextMatcherId++;
    await thread.call({ method: 'open', key, matcherId });
    return new ThreadGrammar(thread, matcherId);
  }

  async close(): Promise<void> {
    await Promise.all([this.#trial?.end(), this.#matching?.end()]);
  }

  /** The thread that holds the matchers. A target with another head, or another end, needs other masks: what was compiled for the last one goes. */
  #threadOf({ vocab_size: vocabSize, eos_token_ids: eosTokenIds }: GrammarCard): GrammarThread {
    const fits = this.#data?.vocabSize === vocabSize && `${this.#data.eosTokenIds}` === `${eosTokenIds}`;
    if (fits && this.#matching && !this.#matching.isGone) return this.#matching;
    void this.#trial?.end();
    this.#trial = null;
    this.#data = { modelDir: this.#options.modelDir, vocabSize, eosTokenIds };
    this.#matching?.retire(); // answers that have matchers there go on
    this.#matching = new GrammarThread(this.#data);
    this.#grammars.clear();
    return this.#matching;
  }

  #compiled(thread: GrammarThread, key: string, ebnf: string): Promise<void> {
    const compiled = this.#grammars.get(key) ?? this.#compile(thread, key, ebnf);
    this.#grammars.delete(key);
    this.#grammars.set(key, compiled);
    return compiled;
  }

  async #compile(thread: GrammarThread, key: string, ebnf: string): Promise<void> {
    this.#makeRoom(thread);
    const trial = this.#lastTrial.then(() => this.#try(key, ebnf));
    this.#lastTrial = trial.catch(() => {});
    await trial;
    await thread.call({ method: 'compile', key, ebnf });
  }

  #makeRoom(thread: GrammarThread): void {
    if (this.#grammars.size < MAX_GRAMMARS) return;
    const [oldest] = this.#grammars.keys();
    this.#grammars.delete(oldest!);
    thread.call({ method: 'forget', key: oldest! }).catch(() => {});
  }

  /** Errors: GrammarCallError with the reason why it does not compile, or not in time. */
  async #try(key: string, ebnf: string): Promise<void> {
    const { compileTimeoutMs } = this.#options;
    if (!this.#trial || this.#trial.isGone) this.#trial = new GrammarThread(this.#data!);
    const thread = this.#trial;
    await thread.ready;
    clearTimeout(this.#idle);
    const late = new GrammarCallError(
      `takes longer than ${compileTimeoutMs} ms to compile (GRAMMAR_COMPILE_TIMEOUT_MS)`,
    );
    const timer = setTimeout(() => void thread.end(late), compileTimeoutMs);
    try {
      await thread.call({ method: 'compile', key, ebnf });
      await thread.call({ method: 'forget', key });
    } catch (error) {
      // A grammar may also bring the thread down: that is what the trial is for.
      if (error instanceof GrammarCallError) throw error;
      throw new GrammarCallError(`cannot be compiled (${(error as Error).message})`);
    } finally {
      clearTimeout(timer);
      this.#idle = setTimeout(() => void thread.end(), IDLE_MS).unref();
    }
  }
}
