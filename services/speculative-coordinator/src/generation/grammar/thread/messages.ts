/** What the coordinator's thread and a grammar thread say to each other. */

/** What a grammar thread must know of the tokens; cloned into it. */
export interface GrammarThreadData {
  /** Folder with the tokenizer's files. */
  readonly modelDir: string;
  /** Entries of a row of logits: at least as many as the tokenizer has tokens. */
  readonly vocabSize: number;
  /** Any of these ends an answer; allowed only where the grammar allows an end. */
  readonly eosTokenIds: readonly number[];
}

/** `ebnf` in XGrammar's notation; `key` names it from then on. */
interface CompileCall {
  readonly method: 'compile';
  readonly key: string;
  readonly ebnf: string;
}

/** A compiled grammar that no new matcher will want; those that have it keep it. */
interface ForgetCall {
  readonly method: 'forget';
  readonly key: string;
}

/** A matcher at the beginning of a text. */
interface OpenCall {
  readonly method: 'open';
  readonly key: string;
  readonly matcherId: number;
}

interface CloseCall {
  readonly method: 'close';
  readonly matcherId: number;
}

/** Moves a matcher on by tokens that stand, and asks for the tokens that must follow: at most `maxTokens`. */
export interface ForcedTokensCall {
  readonly method: 'forcedTokens';
  readonly matcherId: number;
  readonly committed: readonly number[];
  readonly maxTokens: number;
}

/** Moves a matcher on by tokens that stand, and asks for the masks of guesses that might follow. */
export interface ConstrainCall {
  readonly method: 'constrain';
  readonly matcherId: number;
  readonly committed: readonly number[];
  readonly guesses: Int32Array;
  /** Guesses, and tokens that the grammar alone adds behind them, at most. */
  readonly maxTokens: number;
}

/** Guesses as the grammar leaves them. */
export interface ConstrainedTokens {
  /** How many of the guesses are left: up to the first that is forbidden or ends the text, which is among them. */
  readonly numGuesses: number;
  /** Tokens that must stand behind those guesses, each the only one that may. */
  readonly forcedTokenIds: Int32Array;
  /**
   * Words of one mask for each place that those tokens reach, and a next token may stand: [rows, ceil(vocabSize / 32)].
   * The first may be missing too: then nothing may follow the text.
   */
  readonly allowedTokens: Int32Array;
}

export type GrammarCall = CompileCall | ForgetCall | OpenCall | CloseCall | ForcedTokensCall | ConstrainCall;

export interface GrammarRequest {
  readonly id: number;
  readonly call: GrammarCall;
}

/** `error` is a sentence for people, `isLast` when the thread ends with it; `value` is as the call's method has it. */
export type GrammarReply =
  | { readonly id: number; readonly value: unknown; readonly error?: undefined }
  | { readonly id: number; readonly error: string; readonly isLast: boolean };
