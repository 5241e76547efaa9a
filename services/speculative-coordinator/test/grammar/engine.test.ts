/** Grammars as answers get them: on threads, with limits, and freed again. */
import { afterEach, describe, expect, it } from 'vitest';
import type { AnswerGrammar } from '../../src/generation/grammar/answer-grammar.ts';
import { GrammarEngine } from '../../src/generation/grammar/grammar-engine.ts';
import { choiceOf, jsonOf } from '../../src/generation/grammar/structured-output.ts';
import { EOS, encode, idsOf, TINY_DIR, VOCAB_SIZE } from './matching.ts';

const CARD = { vocab_size: VOCAB_SIZE, eos_token_ids: [EOS] };
const engines: GrammarEngine[] = [];
function engineOf(compileTimeoutMs = 20_000): GrammarEngine {
  const engine = new GrammarEngine({ modelDir: TINY_DIR, compileTimeoutMs });
  engines.push(engine);
  return engine;
}
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

const NUM_WORDS = VOCAB_SIZE / 32;
const rowsOf = (words: Int32Array) =>
  Array.from({ length: words.length / NUM_WORDS }, (_, i) => idsOf(words.subarray(i * NUM_WORDS, (i + 1) * NUM_WORDS)));
const NONE = new Int32Array(0);
const ages = {
  type: 'object',
  properties: { age: { enum: [10, 20] } },
  required: ['age'],
  additionalProperties: false,
};

async function walk(grammar: AnswerGrammar, tokenIds: Iterable<number>): Promise<void> {
  for (const id of tokenIds) grammar.commit(id);
}

describe('a grammar', () => {
  it('cuts guesses behind the first that it forbids, and masks every place that they reach', async () => {
    const grammar = await engineOf().open(choiceOf(['ab', 'ac'], 'x'), CARD);
    const [a] = encode('a');
    const [x] = encode('x');
    const { numGuesses, allowedTokens, forcedTokenIds } = await grammar.constrain(Int32Array.of(a!, x!, a!), 8);
    expect([numGuesses, forcedTokenIds.length]).toEqual([2, 0]);
    const rows = rowsOf(allowedTokens);
    expect(rows.length).toBe(2);
    expect(rows[0]).toContain(a);
    expect(rows[1]).not.toContain(x);
    grammar.close();
  });

  it('looks ahead without moving: what was not committed is forgotten', async () => {
    const grammar = await engineOf().open(choiceOf(['ab', 'ac'], 'x'), CARD);
    const first = await grammar.constrain(NONE, 0);
    await grammar.constrain(encode('ab'), 8);
    expect(await grammar.constrain(NONE, 0)).toEqual(first);
    grammar.close();
  });

  it('tells the text that must follow, in the tokens of the tokenizer, and the end as well', async () => {
    const grammar = await engineOf().open(jsonOf(ages, 'x'), CARD);
    const begin = await grammar.forcedTokens(100);
    expect([...begin]).toEqual([...encode('{"age": ')]);
    await walk(grammar, begin);
    await walk(grammar, encode('10'));
    const { forcedTokenIds } = await grammar.constrain(NONE, 8);
    expect([...forcedTokenIds]).toEqual([...encode('}'), EOS]);
    grammar.close();
  });

  it('allows the end only where a text is whole', async () => {
    const grammar = await engineOf().open(choiceOf(['ab', 'abc'], 'x'), CARD);
    expect(rowsOf((await grammar.constrain(NONE, 0)).allowedTokens)[0]).not.toContain(EOS);
    await walk(grammar, encode('ab'));
    expect(rowsOf((await grammar.constrain(NONE, 0)).allowedTokens)[0]).toContain(EOS);
    grammar.close();
  });

  it('has nothing behind its end, and says so', async () => {
    const grammar = await engineOf().open(choiceOf(['ab'], 'x'), CARD);
    await walk(grammar, [...encode('ab'), EOS]);
    expect((await grammar.constrain(encode('a'), 4)).allowedTokens.length).toBe(0);
    await walk(grammar, encode('a'));
    await expect(grammar.constrain(NONE, 0)).rejects.toThrow(/behind the end/);
    grammar.close();
  });

  it('says so when a token was chosen against it, and other answers go on', async () => {
    const engine = engineOf();
    const [one, other] = await Promise.all([1, 2].map(() => engine.open(choiceOf(['ab'], 'x'), CARD)));
    await walk(one!, encode('x'));
    await expect(one!.constrain(NONE, 0)).rejects.toThrow(/forbidden there/);
    expect((await other!.constrain(NONE, 0)).allowedTokens.length).toBe(NUM_WORDS);
    one!.close();
    other!.close();
  });
});

describe('the engine', () => {
  it('refuses a grammar that does not compile, and compiles the next', async () => {
    const engine = engineOf();
    const bad = { ebnf: 'root ::= "a" (', field: 'structured_outputs.grammar' };
    for (let i = 0; i < 2; i++) {
      await expect(engine.open(bad, CARD)).rejects.toMatchObject({
        code: 'invalid_request',
        message: expect.stringMatching(/^"structured_outputs.grammar": EBNF parser error at line 1/),
      });
    }
    (await engine.open(choiceOf(['a'], 'x'), CARD)).close();
  });

  it('refuses a grammar that takes too long, while answers go on', async () => {
    const engine = engineOf(2500);
    const running = await engine.open(choiceOf(['ab'], 'x'), CARD);
    const slow = {
      ebnf: `root ::= ${'([a-z]{1,900} | '.repeat(12)}"x"${')'.repeat(12)}{1,900}`,
      field: 'guided_grammar',
    };
    const refusal = engine.open(slow, CARD).catch((error: unknown) => error);
    expect((await running.constrain(NONE, 0)).allowedTokens.length).toBe(NUM_WORDS);
    expect(await refusal).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/longer than 2500 ms/),
    });
    running.close();
  });

  it('refuses one whose text is too long', async () => {
    const choices = Array.from({ length: 1000 }, (_, i) => `${i}`.padStart(300, 'x'));
    await expect(engineOf().open(choiceOf(choices, 'guided_choice'), CARD)).rejects.toThrow(
      /at most 262144 are compiled/,
    );
  });

  it('keeps a number of grammars, and makes those that it forgot again', async () => {
    const engine = engineOf();
    for (let i = 0; i < 70; i++) (await engine.open(choiceOf([`a${i}`], 'x'), CARD)).close();
    const again = await engine.open(choiceOf(['a0'], 'x'), CARD);
    expect([...(await again.forcedTokens(9))]).toEqual([...encode('a0')]);
    again.close();
  });

  it('follows a target with another vocabulary', async () => {
    const engine = engineOf();
    const one = await engine.open(choiceOf(['ab'], 'x'), CARD);
    const wider = await engine.open(choiceOf(['ab'], 'x'), { ...CARD, vocab_size: VOCAB_SIZE + 64 });
    expect((await wider.constrain(NONE, 0)).allowedTokens.length).toBe(NUM_WORDS + 2);
    expect((await one.constrain(NONE, 0)).allowedTokens.length).toBe(NUM_WORDS);
    one.close();
    wider.close();
  });
});
