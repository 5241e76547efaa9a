/**
 * A vocabulary as XGrammar reads it: the bytes of every token in the byte-level spelling, whatever the tokenizer's own
 * spelling is, and nothing for what stands for no text: special tokens, and the padding of a row of logits.
 */
import { spellBytes, type Tokenizer } from '@forerunner/tokenizer';

export function spellVocabulary(tokenizer: Tokenizer, vocabSize: number): string[] {
  return Array.from({ length: vocabSize }, (_, tokenId) => spellBytes(tokenizer.textBytes(tokenId)));
}
