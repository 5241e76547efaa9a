/** Grammars in this thread, on the tiny vocabulary, and texts that are drawn from them at random. */
import { Tokenizer } from '@forerunner/tokenizer';
import { GrammarHost } from '../../src/generation/grammar/thread/grammar-host.ts';
import type { ConstrainedTokens } from '../../src/generation/grammar/thread/messages.ts';

export const TINY_DIR = new URL('../../../../models/tiny-target', import.meta.url).pathname;
export const VOCAB_SIZE = 1024;
export const EOS = 0;

const tokenizer = Tokenizer.load(TINY_DIR);
let nextId = 0;

export const openHost = () => GrammarHost.open({ modelDir: TINY_DIR, vocabSize: VOCAB_SIZE, eosTokenIds: [EOS] });

/** A matcher of a grammar, to be walked along and closed. */
async function openWalk(host: GrammarHost, ebnf: string) {
  const key = `g${nextId}`;
  const matcherId = nextId++;
  await host.answer({ method: 'compile', key, ebnf });
  await host.answer({ method: 'open', key, matcherId });
  let committed: number[] = [];
  const constrain = async (guesses: ArrayLike<number> = [], maxTokens = 0): Promise<ConstrainedTokens> => {
    const told = committed;
    committed = [];
    const call = {
      method: 'constrain',
      matcherId,
      committed: told,
      guesses: Int32Array.from(guesses),
      maxTokens,
    } as const;
    return (await host.answer(call)) as ConstrainedTokens;
  };
  return {
    constrain,
    commit: (tokenId: number) => committed.push(tokenId),
    forcedTokens: async (maxTokens = 100) => {
      const told = committed;
      committed = [];
      return (await host.answer({ method: 'forcedTokens', matcherId, committed: told, maxTokens })) as Int32Array;
    },
    allowed: async () => idsOf((await constrain()).allowedTokens),
    close: async () => {
      await host.answer({ method: 'close', matcherId });
      await host.answer({ method: 'forget', key });
    },
  };
}

/** The token ids of one row of a mask. */
export function idsOf(words: Int32Array): number[] {
  return Array.from({ length: VOCAB_SIZE }, (_, id) => id).filter((id) => (words[id >> 5]! >>> (id & 31)) & 1);
}

/** Whether the whole of a text may stand, and end. */
export async function accepts(host: GrammarHost, ebnf: string, text: string): Promise<boolean> {
  const walk = await openWalk(host, ebnf);
  try {
    const guesses = [...tokenizer.encodeFragment(text), EOS];
    const { numGuesses, allowedTokens } = await walk.constrain(guesses, guesses.length);
    const lastRow = allowedTokens.subarray((guesses.length - 1) * (VOCAB_SIZE / 32));
    return numGuesses === guesses.length && lastRow.length > 0 && idsOf(lastRow).includes(EOS);
  } finally {
    await walk.close();
  }
}

const CLOSING = new Set(['"', '"}', ']', '}', '",', '"]', '1', 'a']);

/** A text of the grammar, token by token; null when it has not ended after `maxTokens`. `uniform` is in (0, 1]. */
export async function drawText(
  host: GrammarHost,
  ebnf: string,
  uniform: () => number,
  maxTokens = 300,
): Promise<string | null> {
  const walk = await openWalk(host, ebnf);
  const ids: number[] = [];
  try {
    while (ids.length < maxTokens) {
      const allowed = await walk.allowed();
      // Left to itself a walk through a string hardly ever meets its end.
      const closing = allowed.filter((id) => id === EOS || CLOSING.has(tokenizer.tokenText(id)));
      const among = closing.length > 0 && uniform() < 0.4 ? closing : allowed;
      const id = among[Math.ceil(uniform() * among.length) - 1]!;
      if (id === EOS) return tokenizer.decode(ids);
      ids.push(id);
      walk.commit(id);
    }
    return null;
  } finally {
    await walk.close();
  }
}

export const encode = (text: string): Int32Array => tokenizer.encodeFragment(text);
