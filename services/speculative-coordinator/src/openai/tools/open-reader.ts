/** The reader of an answer, as its prompt and the tools that it may call ask for. */
import type { Speller } from '../dialect.ts';
import { AnswerReader } from './answer-reader.ts';
import type { Tool } from './tool-fields.ts';

export function openReader(tools: readonly Tool[], promptTokenIds: Int32Array, codec: Speller): AnswerReader {
  return new AnswerReader({
    toolNames: tools.map((tool) => tool.function.name),
    isThinking: endsInThought(promptTokenIds, codec),
  });
}

/** Whether a prompt ends behind the mark that opens a section of thoughts, as some templates write it. */
function endsInThought(promptTokenIds: Int32Array, codec: Speller): boolean {
  const ends = Array.from(promptTokenIds.subarray(-8), (tokenId) => codec.spellToken(tokenId).text);
  return /<think>\s*$/.test(ends.join(''));
}
