/**
 * Grammars and matchers on XGrammar, beside a tokenizer of the same model. Everything here is freed by hand: the
 * memory is WebAssembly's.
 */
import { Tokenizer } from '@forerunner/tokenizer';
import { type CompiledGrammar, type GrammarCompiler, type GrammarMatcher, loadXGrammar } from './load-xgrammar.ts';
import { MatcherState, RefusedCallError } from './matcher-state.ts';
import type { GrammarCall, GrammarThreadData } from './messages.ts';
import { spellVocabulary } from './vocabulary.ts';

const xgrammar = loadXGrammar();

export class GrammarHost {
  readonly #tokenizer: Tokenizer;
  readonly #data: GrammarThreadData;
  readonly #compiler: GrammarCompiler;
  readonly #grammars = new Map<string, CompiledGrammar>();
  readonly #matchers = new Map<number, MatcherState>();

  static async open(data: GrammarThreadData): Promise<GrammarHost> {
    const tokenizer = Tokenizer.load(data.modelDir);
    const { TokenizerInfo, GrammarCompiler } = xgrammar;
    const info = await TokenizerInfo.createTokenizerInfo(
      spellVocabulary(tokenizer, data.vocabSize),
      'byte_level',
      false,
      data.vocabSize,
      [...data.eosTokenIds],
    );
    // Its own cache never forgets.
    return new GrammarHost(tokenizer, data, await GrammarCompiler.createGrammarCompiler(info, false));
  }

  private constructor(tokenizer: Tokenizer, data: GrammarThreadData, compiler: GrammarCompiler) {
    this.#tokenizer = tokenizer;
    this.#data = data;
    this.#compiler = compiler;
  }

  /** Errors: whatever XGrammar throws, after which nothing here may be used. */
  async answer(call: GrammarCall): Promise<unknown> {
    switch (call.method) {
      case 'compile':
        return this.#compile(call.key, call.ebnf);
      case 'forget':
        this.#grammars.get(call.key)?.dispose();
        this.#grammars.delete(call.key);
        return;
      case 'open':
        return this.#open(call.key, call.matcherId);
      case 'close':
        this.#matchers.get(call.matcherId)?.dispose();
        this.#matchers.delete(call.matcherId);
        return;
      case 'forcedTokens':
        return this.#matcher(call.matcherId).forcedTokens(call);
      case 'constrain':
        return this.#matcher(call.matcherId).constrain(call);
    }
  }

  async #compile(key: string, ebnf: string): Promise<void> {
    if (this.#grammars.has(key)) return;
    const grammar = await xgrammar.Grammar.fromEBNF(ebnf);
    try {
      this.#grammars.set(key, await this.#compiler.compileGrammar(grammar));
    } finally {
      grammar.dispose();
    }
  }

  async #open(key: string, matcherId: number): Promise<void> {
    const grammar = this.#grammars.get(key);
    if (!grammar) throw new RefusedCallError('the grammar is not compiled here');
    const matcher: GrammarMatcher = await xgrammar.GrammarMatcher.createGrammarMatcher(grammar);
    this.#matchers.set(matcherId, new MatcherState(matcher, this.#tokenizer, this.#data));
  }

  #matcher(matcherId: number): MatcherState {
    const state = this.#matchers.get(matcherId);
    if (!state) throw new RefusedCallError('the matcher is not open');
    return state;
  }
}
