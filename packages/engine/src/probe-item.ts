/** Items of passes that nobody asked for, by which a model is probed at start. */
import type { ForwardItem, KvCache, ModelRunner } from './runner.ts';

/** Tokens that are not all alike. */
export const probeTokenIds = ({ signature }: ModelRunner, length: number): Int32Array =>
  Int32Array.from({ length }, (_, i) => (1 + i * 7919) % signature.vocabSize);

/** All rows of logits are wanted; a feature draft is given hidden states that stand for any. */
export function probeItem(
  runner: ModelRunner,
  cache: KvCache,
  numPastTokens: number,
  tokenIds: Int32Array,
): ForwardItem {
  const width = runner.signature.hiddenStatesInput?.width;
  const hiddenStates = width !== undefined && { hiddenStates: new Float32Array(tokenIds.length * width).fill(0.1) };
  return { cache, numPastTokens, tokenIds, numLogitRows: tokenIds.length, ...hiddenStates };
}
